#include "peer/transfer/many_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <variant>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/signals.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/crypto/file_tree.h"
#include "common/net/interrupter.h"
#include "peer/transfer/chunk_buffer.h"
#include "peer/transfer/fetch_problem.h"
#include "peer/transfer/part_batch.h"
#include "peer/transfer/target.h"

namespace espalier::transfer {
namespace {

constexpr std::size_t kReadAhead = 256 * 1024;
constexpr auto kChangedWait = std::chrono::seconds(1);

// One fetchMany() while it runs.
class ManyJob {
 public:
  ManyJob(const ManyRequest& request, const DownloaderOptions& options, std::stop_token stop,
          const FetchedCallback& fetched)
      : request_(request),
        options_(options),
        stop_(std::move(stop)),
        fetched_(fetched),
        files_(request.files.size()),
        queues_(request.holders.size()),
        problems_(request.holders.size()) {}

  Result<ManyResult> run();

 private:
  enum class State : std::uint8_t { waiting, asked, written, done, left };
  struct File {
    State state = State::left;
    std::optional<SafeName> name;
    std::optional<Error> problem;
  };
  // One holder's thread.
  struct Conversation {
    std::size_t holder;
    HolderConnection connection;
    PartBatch small;
    std::deque<std::size_t> asked;
    std::size_t askedBytes = 0;
    ChunkBuffer buffer;
  };

  Result<void> sort();
  Result<void> leaveParts();
  bool somethingIsThere(const SafeName& name);
  void work(std::size_t holder);
  Result<void> converse(Conversation& talk);
  void askAhead(Conversation& talk);
  Result<void> receive(Conversation& talk);
  void leave(std::size_t file, Error problem);
  Result<void> publish(Conversation& talk);
  void fail(Error error);
  ManyResult result();

  const ManyRequest& request_;
  const DownloaderOptions& options_;
  const std::stop_token stop_;
  const FetchedCallback& fetched_;
  net::Interrupter interrupter_;
  FileDescriptor base_;
  std::optional<Target> target_;
  std::map<std::vector<std::string>, FileDescriptor> folders_;  // while sorting

  std::mutex mutex_;  // guards what follows
  std::vector<File> files_;
  std::vector<std::deque<std::size_t>> queues_;  // of a holder; files may stand in several
  std::vector<std::optional<Error>> problems_;   // of a holder
  std::optional<Error> failed_;

  std::mutex callbacks_;  // one at a time
};

Result<ManyResult> ManyJob::run() {
  if (auto sorted = sort(); !sorted) return sorted.error();
  const std::stop_callback onStop(stop_, [this] { fail({ErrorCode::interrupted, "interrupted"}); });
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < queues_.size() && threads.size() < limits::kFetchSources; ++i) {
    // Where the system has no more threads, this one does it.
    if (!queues_[i].empty() && !startThread(threads, [this, i] { work(i); })) work(i);
  }
  threads.clear();
  if (target_) target_->removePartFolder();
  const std::lock_guard lock(mutex_);
  return failed_ ? Result<ManyResult>(*failed_) : result();
}

// Who is to be asked for what. Whatever is out of the ordinary stays `left`.
Result<void> ManyJob::sort() {
  auto base = openFolder(request_.folder);
  if (!base) return base.error();
  base_ = std::move(*base);
  std::set<FileRoot> roots;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const ManyFile& wanted = request_.files[i];
    if (wanted.size == 0 || wanted.size > limits::kChunkBytesMin) continue;
    auto name = SafeName::parse(wanted.saveAs, request_.dots);
    if (!name || somethingIsThere(*name) || !roots.insert(wanted.root).second) continue;
    if (!target_) {
      auto target = Target::locate(request_.folder, wanted.saveAs, request_.dots);
      if (!target) return target.error();
      target_ = std::move(*target);
    }
    files_[i].state = State::waiting;
    files_[i].name = std::move(*name);
  }
  if (auto left = leaveParts(); !left) return left;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (files_[i].state != State::waiting) continue;
    for (const std::size_t holder : request_.files[i].holders) queues_[holder].push_back(i);
  }
  return {};
}

// What an earlier run wrote needs to be verified only.
Result<void> ManyJob::leaveParts() {
  if (!target_) return {};
  const auto folder = target_->partFolder(options_.stateFolder);
  if (!folder) return folder.error();
  const auto parts = namesIn(folder->descriptor.get());
  for (std::size_t i = 0; i < files_.size() && !parts.empty(); ++i) {
    if (parts.contains(PartFile::nameOf(request_.files[i].root))) files_[i].state = State::left;
  }
  return {};
}

bool ManyJob::somethingIsThere(const SafeName& name) {
  const auto parts = name.folders();
  std::vector<std::string> key(parts.begin(), parts.end());
  auto found = folders_.find(key);
  if (found == folders_.end()) {
    if (folders_.size() == limits::kManyFolders) folders_.clear();
    auto folder = openFolderBeneath(base_.get(), parts, false);
    // One that cannot be used shows when it is made.
    found = folders_.emplace(std::move(key), folder ? std::move(*folder) : FileDescriptor()).first;
  }
  if (!found->second) return false;
  struct stat status {};
  return ::fstatat(found->second.get(), name.leaf().c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 ||
         errno != ENOENT;
}

void ManyJob::work(std::size_t holder) {
  const QuietSignals quiet;
  auto folder = target_->partFolder(options_.stateFolder);
  if (!folder) return fail(folder.error());
  const auto& who = request_.holders[holder];
  Conversation talk{holder,
                    HolderConnection(who.endpoint, options_.timeouts, interrupter_),
                    PartBatch(base_.get(), std::move(*folder)),
                    {},
                    0,
                    {}};
  talk.connection.readAhead(kReadAhead);
  talk.connection.limit(options_.rate);
  talk.buffer.reserve(limits::kChunkBytesMin);
  const auto ended = converse(talk);
  (void)publish(talk);
  talk.small.syncFolders();
  if (ended) return;
  const std::lock_guard lock(mutex_);
  for (const std::size_t file : talk.asked) files_[file].state = State::waiting;
  problems_[holder] = ended.error();
  log::info("{} {}: {}", who.id.text(), who.endpoint.text(), ended.error().message);
}

Result<void> ManyJob::converse(Conversation& talk) {
  if (askAhead(talk); talk.asked.empty()) return {};
  if (auto opened = talk.connection.open(); !opened) return opened;
  while (!talk.asked.empty()) {
    if (auto received = receive(talk); !received) return received;
    if (auto saved = talk.small.full() ? publish(talk) : Result<void>(); !saved) return saved;
    askAhead(talk);
    if (auto sent = talk.connection.flush(); !sent) return sent;
  }
  return {};
}

// Refills by halves, so that requests travel together.
void ManyJob::askAhead(Conversation& talk) {
  if (talk.asked.size() > limits::kManyAhead / 2) return;
  const std::lock_guard lock(mutex_);
  auto& queue = queues_[talk.holder];
  while (!failed_ && !queue.empty() && talk.asked.size() < limits::kManyAhead &&
         talk.askedBytes < limits::kManyAheadBytes) {
    const std::size_t file = queue.front();
    queue.pop_front();
    if (files_[file].state != State::waiting) continue;
    files_[file].state = State::asked;
    const ManyFile& wanted = request_.files[file];
    talk.connection.queue(
        wire::ChunkRequest{wanted.root, crypto::chunkBytesFor(wanted.size), 0, 1});
    talk.asked.push_back(file);
    talk.askedBytes += wanted.size;
  }
}

Result<void> ManyJob::receive(Conversation& talk) {
  const std::size_t file = talk.asked.front();
  const ManyFile& wanted = request_.files[file];
  const auto answer = talk.connection.receive();
  if (!answer) return answer.error();
  if (const auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
    Error problem = fromHolder(*failure);
    if (failure->problem == wire::TransferProblem::busy) return problem;
    leave(file, std::move(problem));
  } else {
    const auto* header = std::get_if<wire::ChunkHeader>(&*answer);
    if (!header || header->chunk != 0 || header->bytes != wanted.size) {
      return unexpected("another answer than the chunk asked for");
    }
    const auto data = talk.buffer.first(wanted.size);
    if (auto received = talk.connection.receiveBytes(data); !received) return received;
    const auto plan = *ChunkPlan::ofSmall(wanted.root, wanted.size);
    if (!plan.isRight(0, data)) {
      if (!talk.connection.saysChanged(kChangedWait)) return unexpected("a damaged chunk 0");
      leave(file, changedThere());
    } else {
      const auto written = talk.small.write(file, plan, *files_[file].name, data);
      if (!written) {
        fail(written.error());
        return written.error();
      }
      const std::lock_guard lock(mutex_);
      files_[file].state = *written ? State::written : State::left;
    }
  }
  talk.asked.pop_front();
  talk.askedBytes -= wanted.size;
  return {};
}

// This holder does not have it. What others may have is tried by itself, later.
void ManyJob::leave(std::size_t file, Error problem) {
  const std::lock_guard lock(mutex_);
  files_[file].state = State::left;
  if (request_.files[file].holders.size() == 1) files_[file].problem = std::move(problem);
}

Result<void> ManyJob::publish(Conversation& talk) {
  const auto before = [&](const std::string& path, const FileRoot& root) {
    if (options_.verified) options_.verified(path, root, std::span(&root, 1));
  };
  const auto done = [&](std::size_t file, bool named) {
    {
      const std::lock_guard lock(mutex_);
      files_[file].state = named ? State::done : State::left;
    }
    if (named && fetched_) fetched_(file, talk.holder);
  };
  const std::lock_guard lock(callbacks_);
  auto published = talk.small.publish(before, done);
  if (!published) fail(published.error());
  return published;
}

void ManyJob::fail(Error error) {
  {
    const std::lock_guard lock(mutex_);
    if (!failed_) failed_ = std::move(error);
  }
  interrupter_.interrupt();
}

// With mutex_ held.
ManyResult ManyJob::result() {
  ManyResult result;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    File& file = files_[i];
    if (file.state == State::done) continue;
    const auto& holders = request_.files[i].holders;
    if (file.state == State::waiting && holders.size() == 1 && problems_[holders.front()]) {
      const auto& problem = *problems_[holders.front()];
      file.problem = Error{
          problem.code,
          fmt::format("{}: {}", request_.holders[holders.front()].id.text(), problem.message)};
    }
    result.left.emplace_back(i, std::move(file.problem));
  }
  return result;
}

}  // namespace

Result<ManyResult> fetchMany(const ManyRequest& request, const DownloaderOptions& options,
                             std::stop_token stop, const FetchedCallback& fetched) {
  return ManyJob(request, options, std::move(stop), fetched).run();
}

}  // namespace espalier::transfer
