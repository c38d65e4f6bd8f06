#include "peer/transfer/many_files.h"

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <variant>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/signals.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/crypto/file_tree.h"
#include "common/net/interrupter.h"
#include "peer/transfer/batch_plan.h"
#include "peer/transfer/chunk_buffer.h"
#include "peer/transfer/chunk_client.h"
#include "peer/transfer/core/batch_schedule.h"
#include "peer/transfer/fetch_problem.h"
#include "peer/transfer/part_batch.h"

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
        dials_(request.dials ? request.dials : std::make_shared<DialTargets>()),
        stop_(std::move(stop)),
        fetched_(fetched),
        schedule_(request.files.size(), request.holders.size()),
        fileProblems_(request.files.size()),
        holderProblems_(request.holders.size()) {}

  Result<ManyResult> run();

 private:
  // One holder's thread.
  struct Conversation {
    std::size_t holder;
    ChunkClient client;
    PartBatch batch;
    std::deque<std::size_t> asked;  // files, in order
    ChunkBuffer buffer;
  };

  void addToSchedule();
  void work(std::size_t holder);
  Result<void> converse(Conversation& talk);
  void askAhead(Conversation& talk);
  Result<void> receive(Conversation& talk);
  Result<void> receiveFile(Conversation& talk, std::size_t file);
  void leave(Conversation& talk, std::size_t file, Error problem);
  Result<void> publish(Conversation& talk);
  void fail(Error error);
  ManyResult result();

  const ManyRequest& request_;
  const DownloaderOptions& options_;
  const std::shared_ptr<DialTargets> dials_;
  const std::stop_token stop_;
  const FetchedCallback& fetched_;
  net::Interrupter interrupter_;
  BatchPlan plan_;  // constant while threads run

  std::mutex mutex_;  // guards what follows
  BatchSchedule schedule_;
  std::vector<std::optional<Error>> fileProblems_;
  std::vector<std::optional<Error>> holderProblems_;
  std::optional<Error> failed_;

  std::mutex callbacks_;  // held while one is called
};

Result<ManyResult> ManyJob::run() {
  auto planned = planBatch(request_, options_.stateFolder);
  if (!planned) return planned.error();
  plan_ = std::move(*planned);
  addToSchedule();
  const std::stop_callback onStop(stop_, [this] { fail({ErrorCode::interrupted, "interrupted"}); });
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < request_.holders.size() && threads.size() < limits::kFetchSources;
       ++i) {
    {
      const std::lock_guard lock(mutex_);
      if (!schedule_.isNeeded(i)) continue;
    }
    // Where the system has no more threads, this one does the work.
    if (!startThread(threads, [this, i] { work(i); })) work(i);
  }
  threads.clear();
  if (plan_.target) plan_.target->removePartFolder();
  const std::lock_guard lock(mutex_);
  return failed_ ? Result<ManyResult>(*failed_) : result();
}

void ManyJob::addToSchedule() {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < request_.files.size(); ++i) {
    const ManyFile& wanted = request_.files[i];
    if (plan_.ordinary[i]) schedule_.add(i, wanted.size, wanted.holders);
  }
}

void ManyJob::work(std::size_t holder) {
  const QuietSignals quiet;
  auto folder = plan_.target->partFolder(options_.stateFolder);
  if (!folder) return fail(folder.error());
  const auto& source = request_.holders[holder];
  Conversation talk{holder,
                    ChunkClient(source.endpoint, options_.timeouts, interrupter_),
                    PartBatch(plan_.base.get(), std::move(*folder)),
                    {},
                    {}};
  talk.client.connection().readAhead(kReadAhead);
  talk.client.connection().limit(options_.rate);
  talk.buffer.reserve(limits::kChunkBytesMin);
  const auto ended = converse(talk);
  (void)publish(talk);
  talk.batch.syncFolders();
  if (ended) return;
  const std::lock_guard lock(mutex_);
  schedule_.release(holder);
  holderProblems_[holder] = ended.error();
  log::info("{} {}: {}", source.id.text(), source.endpoint.text(), ended.error().message);
}

Result<void> ManyJob::converse(Conversation& talk) {
  if (askAhead(talk); talk.asked.empty()) return {};
  const Endpoint& endpoint = request_.holders[talk.holder].endpoint;
  if (dials_->dial(endpoint, Clock::now()) != DialTargets::May::now) {
    return Error{ErrorCode::io,
                 fmt::format("{} was not dialled: no peer is there", endpoint.text())};
  }
  if (auto opened = talk.client.open(); !opened) {
    if (opened.error().code != ErrorCode::interrupted && !talk.client.connection().isBusy()) {
      dials_->dialledInVain(endpoint);
    }
    return opened;
  }
  dials_->welcomed(endpoint);
  while (!talk.asked.empty()) {
    if (auto received = receive(talk); !received) return received;
    if (auto saved = talk.batch.full() ? publish(talk) : Result<void>(); !saved) return saved;
    askAhead(talk);
    if (auto sent = talk.client.flush(); !sent) return sent;
  }
  return {};
}

void ManyJob::askAhead(Conversation& talk) {
  const std::lock_guard lock(mutex_);
  if (failed_) return;
  for (const std::size_t file : schedule_.next(talk.holder)) {
    const ManyFile& wanted = request_.files[file];
    talk.client.askChunks({wanted.root, wanted.size, crypto::chunkBytesFor(wanted.size), 0, 1});
    talk.asked.push_back(file);
  }
}

Result<void> ManyJob::receive(Conversation& talk) {
  const std::size_t file = talk.asked.front();
  const auto answer = talk.client.receive();
  if (!answer) return answer.error();
  if (const auto* refused = std::get_if<ChunkClient::Refused>(&*answer)) {
    Error problem = fromHolder(*refused);
    if (refused->problem == wire::TransferProblem::busy) return problem;
    leave(talk, file, std::move(problem));
  } else if (auto received = receiveFile(talk, file); !received) {
    return received;
  }
  talk.asked.pop_front();
  return {};
}

Result<void> ManyJob::receiveFile(Conversation& talk, std::size_t file) {
  const ManyFile& wanted = request_.files[file];
  const auto data = talk.buffer.first(wanted.size);
  if (auto received = talk.client.receiveBytes(data); !received) return received;
  const auto plan = *ChunkPlan::ofSmall(wanted.root, wanted.size);
  const bool isRight = plan.isRight(0, data);
  if (options_.chunks != nullptr) options_.chunks->count(isRight);
  if (!isRight) {
    if (!talk.client.saysChanged(kChangedWait)) return unexpected("a damaged chunk 0");
    leave(talk, file, changedThere());
    return {};
  }
  const auto name = SafeName::parse(wanted.saveAs, request_.dots);  // as planBatch() did
  if (!name) return name.error();
  const auto written = talk.batch.write(file, plan, *name, data);
  if (!written) {
    fail(written.error());
    return written.error();
  }
  const std::lock_guard lock(mutex_);
  if (*written) {
    schedule_.arrived(file, talk.holder);
  } else {
    schedule_.leave(file, talk.holder);
  }
  return {};
}

// This holder does not have it. Whether others have it is tried later, for this file alone.
void ManyJob::leave(Conversation& talk, std::size_t file, Error problem) {
  const std::lock_guard lock(mutex_);
  schedule_.leave(file, talk.holder);
  if (request_.files[file].holders.size() == 1) fileProblems_[file] = std::move(problem);
}

Result<void> ManyJob::publish(Conversation& talk) {
  const auto before = [&](const std::string& path, const FileRoot& root) {
    if (options_.verified) options_.verified(path, root, std::span(&root, 1));
  };
  const auto done = [&](std::size_t file, bool named) {
    {
      const std::lock_guard lock(mutex_);
      schedule_.named(file, named);
    }
    if (named && fetched_) fetched_(file, talk.holder);
  };
  const std::lock_guard lock(callbacks_);
  auto published = talk.batch.publish(before, done);
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
  for (std::size_t i = 0; i < request_.files.size(); ++i) {
    const auto state = schedule_.state(i);
    if (state == BatchSchedule::State::done) continue;
    const auto& holders = request_.files[i].holders;
    if (state == BatchSchedule::State::waiting && holders.size() == 1 &&
        holderProblems_[holders.front()]) {
      const auto& problem = *holderProblems_[holders.front()];
      fileProblems_[i] = Error{
          problem.code,
          fmt::format("{}: {}", request_.holders[holders.front()].id.text(), problem.message)};
    }
    result.left.emplace_back(i, std::move(fileProblems_[i]));
  }
  return result;
}

}  // namespace

Result<ManyResult> fetchMany(const ManyRequest& request, const DownloaderOptions& options,
                             std::stop_token stop, const FetchedCallback& fetched) {
  return ManyJob(request, options, std::move(stop), fetched).run();
}

}  // namespace espalier::transfer
