#include "metaserver/core/cluster/promises.h"

#include <set>
#include <string_view>
#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver::cluster {
namespace {

const std::string& keyOf(const etcd::Operation& operation) {
  return std::visit([](const auto& one) -> const std::string& { return one.key; }, operation);
}

std::size_t valueBytes(const etcd::Operation& operation) {
  const auto* put = std::get_if<etcd::Put>(&operation);
  return put ? put->value.size() : 0;
}

bool isWritable(const std::vector<etcd::Operation>& operations) {
  if (operations.empty() || operations.size() > limits::kPromiseOperations) return false;
  std::set<std::string_view> keys;
  for (const auto& one : operations) {
    const std::string& key = keyOf(one);
    if (key.empty() || key.size() > limits::kEtcdKeyBytes) return false;
    if (valueBytes(one) > limits::kEtcdValueBytes) return false;
    if (!keys.insert(key).second) return false;
  }
  return true;
}

}  // namespace

void Promises::begin(etcd::Revision mastership) {
  mastership_ = mastership;
  written_ = mastership;
}

void Promises::end(std::vector<Promised>& outcomes) {
  for (const auto& one : sent_) outcomes.push_back({one.number, PromiseOutcome::unknown});
  for (const auto& one : waiting_) outcomes.push_back({one.number, PromiseOutcome::notMaster});
  sent_.clear();
  waiting_.clear();
  waitingOperations_ = 0;
  underWay_ = false;
  mastership_ = 0;
}

bool Promises::add(std::uint64_t number, std::vector<etcd::Operation> operations) {
  if (!isWritable(operations)) return false;
  if (waitingOperations_ + operations.size() > limits::kPromisesWaiting) return false;
  waitingOperations_ += operations.size();
  waiting_.push_back({number, std::move(operations)});
  return true;
}

std::optional<etcd::Txn> Promises::next() {
  if (underWay_ || mastership_ == 0) return std::nullopt;
  if (sent_.empty()) sent_ = takeBatch();
  if (sent_.empty()) return std::nullopt;
  underWay_ = true;
  using Field = etcd::Compare::Field;
  etcd::Txn txn;
  txn.compares = {{masterKey_, Field::created, mastership_},
                  {writtenKey_, Field::modified, written_}};
  for (const auto& promise : sent_) {
    txn.then.insert(txn.then.end(), promise.operations.begin(), promise.operations.end());
  }
  txn.then.push_back(etcd::Put{writtenKey_, std::to_string(mastership_), etcd::kNoLease});
  txn.otherwise = {{masterKey_, "", 0, 0}, {writtenKey_, "", 0, 0}};
  return txn;
}

// etcd refuses a transaction that writes a key twice: the second promise waits for the next one.
std::vector<Promises::Promise> Promises::takeBatch() {
  std::vector<Promise> batch;
  std::set<std::string> keys;
  std::size_t operations = 0;
  while (!waiting_.empty()) {
    const auto& next = waiting_.front().operations;
    if (operations + next.size() > limits::kPromiseOperations) break;
    bool isRepeated = false;
    for (const auto& one : next) isRepeated = isRepeated || keys.contains(keyOf(one));
    if (isRepeated) break;
    for (const auto& one : next) keys.insert(keyOf(one));
    operations += next.size();
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  waitingOperations_ -= operations;
  return batch;
}

bool Promises::done(const etcd::TxnDone& done, std::vector<Promised>& outcomes) {
  underWay_ = false;
  etcd::Revision written = done.revision;
  if (!done.succeeded) {
    etcd::Revision master = 0;
    written = 0;
    for (const auto& one : done.otherwise) {
      if (one.key == masterKey_) master = one.created;
      if (one.key == writtenKey_) written = one.modified;
    }
    // With our own key there, only our own repetition can have moved the written key.
    if (master != mastership_ || written <= written_) return false;
  }
  written_ = written;
  for (const auto& one : sent_) outcomes.push_back({one.number, PromiseOutcome::kept});
  sent_.clear();
  return true;
}

}  // namespace espalier::metaserver::cluster
