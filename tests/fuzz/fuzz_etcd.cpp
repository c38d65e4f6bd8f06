// What an etcd, or whatever answers at its address, says: bodies and lines in JSON, and the values
// of keys, which anybody who may write there can have written. The first byte says which.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

#include "common/base/text.h"
#include "metaserver/core/cluster/promised_members.h"
#include "metaserver/etcd/json.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;
using namespace espalier::metaserver;
namespace messages = metaserver::cluster::etcd;

namespace {

void requirePrintable(const std::string& text) {
  const bool isPrintable = isUtf8(text) && std::none_of(text.begin(), text.end(), [](char one) {
                             return static_cast<unsigned char>(one) < 0x20 || one == 0x7f;
                           });
  fuzz::require(isPrintable, "what is told of etcd is printable");
}

// What was read is written into an answer again, as etcd does, and read.
void requireSame(const messages::KeyValue& one) {
  // The keys of a request are the bytes of an answer.
  const auto body = [](const std::string& key) {
    const messages::Request request{1, messages::Range{key, {}, 0, 0}};
    return nlohmann::json::parse(etcd::callOf(request).body)["key"];
  };
  const nlohmann::json kv{{"key", body(one.key)},
                          {"value", body(one.value)},
                          {"create_revision", std::to_string(one.created)},
                          {"mod_revision", std::to_string(one.modified)},
                          {"lease", std::to_string(static_cast<std::int64_t>(one.lease))}};
  const nlohmann::json answer{{"header", {{"revision", "7"}}}, {"kvs", {kv}}};
  const auto read = etcd::readAnswer({1, messages::Range{}}, answer.dump());
  fuzz::require(read.ok(), "what was read is read again");
  const auto& keys = std::get<messages::Ranged>(*read).keys;
  fuzz::require(keys.size() == 1 && keys[0] == one, "and is the same");
}

void readMember(std::string_view key, std::string_view value) {
  cluster::EtcdDirectory directory;
  const auto read = cluster::readKey(key, value, directory);
  if (!read) return requirePrintable(read.error().message);
  cluster::PromisedMembers members("/e/", directory);
  fuzz::require(members.size() == directory.members.size(), "each member that was read is there");
  std::vector<messages::Operation> operations;
  members.sweep([](const PeerId&) { return false; }, operations);
  fuzz::require(members.size() == 0, "and none is left when no id is held");
  fuzz::require(operations.size() == 2 * directory.members.size(), "id and port are removed");
}

void check(const etcd::AnswerContent& content) {
  if (const auto* ended = std::get_if<messages::WatchEnded>(&content)) requirePrintable(ended->why);
  if (const auto* granted = std::get_if<messages::Granted>(&content)) {
    fuzz::require(granted->lease != messages::kNoLease && granted->ttl.count() > 0, "a lease");
  }
  std::vector<messages::KeyValue> keys;
  if (const auto* ranged = std::get_if<messages::Ranged>(&content)) keys = ranged->keys;
  if (const auto* done = std::get_if<messages::TxnDone>(&content)) keys = done->otherwise;
  if (const auto* watched = std::get_if<messages::Watched>(&content)) {
    for (const auto& change : watched->changes) keys.push_back(change.key);
  }
  for (const auto& one : keys) {
    requireSame(one);
    readMember(one.key, one.value);
  }
}

void readCandidate(std::string_view value) {
  const auto candidate = etcd::decodeCandidate(value);
  if (!candidate) return;
  const auto text = etcd::encodeCandidate(*candidate);
  const auto again = etcd::decodeCandidate(text);
  fuzz::require(again.has_value(), "a candidate that was read is written and read");
  fuzz::require(etcd::encodeCandidate(*again) == text, "and is the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto body = fuzz::view(data, size);
  const unsigned kind = static_cast<std::uint8_t>(fuzz::takeByte(body) - '0') % 10;
  const auto answer = [&](messages::Request request) {
    const auto content = etcd::readAnswer(request, body);
    content ? check(*content) : requirePrintable(content.error().message);
  };
  switch (kind) {
    case 0:
      answer({1, messages::LeaseGrant{}});
      break;
    case 1:
      answer({1, messages::LeaseKeepAlive{}});
      break;
    case 2:
      answer({1, messages::LeaseRevoke{}});
      break;
    case 3:
      answer({1, messages::Range{}});
      break;
    case 4:
      answer({1, messages::Txn{}});
      break;
    case 5: {
      const auto line = etcd::readWatchLine(body);
      line ? check(*line) : requirePrintable(line.error().message);
      break;
    }
    case 6:
      requirePrintable(etcd::readError(body));
      break;
    case 7:
      if (const auto token = etcd::readToken(body); !token) requirePrintable(token.error().message);
      break;
    case 8:
      readCandidate(body);
      break;
    default:
      const auto key = fuzz::takeUntil(body, '\n');
      readMember(key, body);
  }
  return 0;
}
