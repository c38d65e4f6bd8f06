#include "peer/transfer/fetch_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <thread>
#include <utility>
#include <variant>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/file_tree.h"

namespace espalier::transfer {
namespace {

constexpr std::size_t kProblemsNamed = 3;

Error fromHolder(const wire::TransferFailure& failure) {
  using wire::TransferProblem;
  const std::string message = escaped(failure.message);
  switch (failure.problem) {
    case TransferProblem::busy:
      return {ErrorCode::timeout, message};
    case TransferProblem::badRequest:
      return {ErrorCode::protocol, message};
    case TransferProblem::io:
      return {ErrorCode::io, message};
    case TransferProblem::unknown:
    case TransferProblem::notShared:
    case TransferProblem::changed:
      break;
  }
  return {ErrorCode::failed, message};
}

Error unexpected(std::string_view what) {
  return {ErrorCode::protocol, fmt::format("sent {}", what)};
}

}  // namespace

struct FetchJob::Conversation {
  std::size_t index;
  HolderConnection holder;
  ChunkBuffer buffer;
  SourceId id{};
  bool delivered = false;  // a chunk that was right
};

FetchJob::FetchJob(const FetchRequest& request, const DownloaderOptions& options, Staging& staging)
    : request_(request), options_(options), staging_(staging) {
  for (const auto& holder : request.holders) {
    Source source;
    source.holder = holder;
    sources_.push_back(std::move(source));
  }
}

Result<void> FetchJob::run(std::stop_token stop, const ProgressCallback& progress) {
  stop_ = stop;
  auto known = ChunkPlan::ofSmall(request_.root, request_.size);
  if (!known) known = staging_.earlierPlan();
  if (known) {
    if (auto adopted = adopt(std::move(*known)); !adopted) return adopted.error();
  }
  const std::stop_callback onStop(stop, [this] { fail({ErrorCode::interrupted, "interrupted"}); });
  std::vector<std::jthread> threads;
  std::unique_lock lock(mutex_);
  if (!over()) {
    working_ = std::min(sources_.size(), limits::kFetchSources);
    for (std::size_t i = 0; i < working_; ++i) threads.emplace_back([this] { work(); });
  }
  bool reserving = true;
  TimePoint shown = Clock::now();
  while (!over() && working_ > 0) {
    const bool planned = planState_ == PlanState::known;
    if (!reserving || !planned) ended_.wait_for(lock, options_.progressInterval);
    lock.unlock();
    if (reserving && planned) {
      const auto more = staging_.reserveMore();
      if (!more) fail(more.error());
      reserving = more.valueOr(false);
    }
    if (progress && Clock::now() - shown >= options_.progressInterval) {
      progress(progressNow());
      shown = Clock::now();
    }
    lock.lock();
  }
  lock.unlock();
  interrupter_.interrupt();
  threads.clear();
  lock.lock();
  if (failed_) return *failed_;
  if (!download_ || !download_->complete()) return failure();
  return {};
}

// With mutex_ held. The disk has everything, or nothing more can be done.
bool FetchJob::over() const {
  return failed_ || (download_ && download_->complete() && writing_ == 0);
}

// With mutex_ held.
void FetchJob::wake() {
  if (idle_ > 0) changed_.notify_all();
  if (over() || working_ == 0) ended_.notify_all();
}

void FetchJob::fail(Error error) {
  {
    const std::lock_guard lock(mutex_);
    if (!failed_) failed_ = std::move(error);
    wake();
  }
  interrupter_.interrupt();
}

void FetchJob::work() {
  const QuietSignals quiet;
  while (const auto index = nextHolder()) serveFrom(*index);
  const std::lock_guard lock(mutex_);
  --working_;
  wake();
}

std::optional<std::size_t> FetchJob::nextHolder() {
  const std::lock_guard lock(mutex_);
  if (over() || nextHolder_ == sources_.size()) return std::nullopt;
  return nextHolder_++;
}

// Until there is nothing more to be had from this holder.
void FetchJob::serveFrom(std::size_t index) {
  while (true) {
    Source& source = sources_[index];
    Conversation talk{
        index, HolderConnection(source.holder.endpoint, options_.timeouts, interrupter_), {}};
    {
      const std::lock_guard lock(mutex_);
      source.dialled = true;
      source.id = talk.id = SourceId{nextId_++};
    }
    const auto ended = converse(talk);
    const std::lock_guard lock(mutex_);
    source.connected = false;
    if (download_) download_->leave(talk.id);
    wake();
    if (over() || ended) return;
    // Whoever delivered and broke off may just have been restarted.
    if (ended.error().code == ErrorCode::io && talk.delivered) continue;
    source.problem = ended.error();
    log::info("{} {}: {}", source.holder.id.text(), source.holder.endpoint.text(),
              ended.error().message);
    return;
  }
}

Result<void> FetchJob::converse(Conversation& talk) {
  bool known = false;
  {
    const std::lock_guard lock(mutex_);
    known = planState_ == PlanState::known;
  }
  if (known) {
    const std::lock_guard lock(mutex_);
    download_->joinWithAll(talk.id, Clock::now());
  } else {
    talk.holder.queue(wire::ChunkListRequest{request_.root});
  }
  if (known) (void)askAhead(talk);
  if (auto opened = talk.holder.open(); !opened) return opened;
  {
    const std::lock_guard lock(mutex_);
    sources_[talk.index].connected = true;
  }
  if (!known) {
    if (auto learned = learnPlan(talk); !learned) return learned;
    const std::lock_guard lock(mutex_);
    if (over()) return {};
    download_->joinWithAll(talk.id, Clock::now());
  }
  return fetchChunks(talk);
}

// Every source that comes before the plan is known asks for the list: a silent first one would keep
// all others waiting, and a list is small.
Result<void> FetchJob::learnPlan(Conversation& talk) {
  ChunkPlan plan{request_.root, request_.size, 0, {}};
  std::uint64_t wanted = 0;
  do {
    auto answer = talk.holder.receive();
    if (!answer) return answer.error();
    if (const auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
      return fromHolder(*failure);
    }
    const auto* part = std::get_if<wire::ChunkList>(&*answer);
    if (!part) return unexpected("another answer than the list of hashes");
    if (plan.chunkBytes == 0) {
      plan.chunkBytes = part->chunkBytes;
      wanted = crypto::chunkCount(plan.size, plan.chunkBytes);
      if (wanted > limits::kFileChunks) return unexpected("a list of too many hashes");
    }
    if (part->size != plan.size || part->chunkBytes != plan.chunkBytes ||
        part->first != plan.hashes.size() || part->hashes.empty() ||
        part->hashes.size() > wanted - plan.hashes.size()) {
      return unexpected("a list of hashes that is not this file's");
    }
    plan.hashes.insert(plan.hashes.end(), part->hashes.begin(), part->hashes.end());
  } while (plan.hashes.size() < wanted);
  if (!plan.matches()) return unexpected("a list of hashes that does not belong to the root");
  return adopt(std::move(plan));
}

// The first plan wins; what others bring is the same file, perhaps cut differently.
Result<void> FetchJob::adopt(ChunkPlan plan) {
  {
    std::unique_lock lock(mutex_);
    if (planState_ != PlanState::unknown) {
      ++idle_;
      changed_.wait(lock, [this] { return planState_ == PlanState::known || failed_; });
      --idle_;
      return {};
    }
    planState_ = PlanState::adopting;
  }
  Download download(plan.size, plan.chunkBytes);
  auto begun = staging_.begin(
      plan, [&](std::uint64_t chunk) { download.hold(ChunkIndex{chunk}); }, stop_);
  if (!begun) {
    fail(begun.error());
    return begun;
  }
  const std::lock_guard lock(mutex_);
  plan_ = std::move(plan);
  resumedBytes_ = download.heldBytes();
  download_ = std::move(download);
  planState_ = PlanState::known;
  if (idle_ > 0) changed_.notify_all();
  ended_.notify_all();
  return {};
}

Result<void> FetchJob::fetchChunks(Conversation& talk) {
  talk.buffer.reserve(plan_.chunkBytes);
  while (true) {
    const bool expects = askAhead(talk);
    if (auto sent = talk.holder.flush(); !sent) return sent;
    if (expects) {
      if (auto received = receiveChunk(talk); !received) return received;
      continue;
    }
    std::unique_lock lock(mutex_);
    if (over()) return {};
    // Others have all that is left: it may come back, or turn out to be slow.
    ++idle_;
    changed_.wait_for(lock, Download::kRetry);
    --idle_;
  }
}

// Queues what the schedule gives; whether anything is on its way then.
bool FetchJob::askAhead(Conversation& talk) {
  const std::lock_guard lock(mutex_);
  if (over()) return false;
  while (const auto range = download_->next(talk.id, Clock::now())) {
    talk.holder.queue(
        wire::ChunkRequest{plan_.root, plan_.chunkBytes, number(range->first), range->count});
  }
  return download_->expects(talk.id);
}

Result<void> FetchJob::receiveChunk(Conversation& talk) {
  auto answer = talk.holder.receive();
  if (!answer) return answer.error();
  if (const auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
    return fromHolder(*failure);
  }
  const auto* header = std::get_if<wire::ChunkHeader>(&*answer);
  if (!header) return unexpected("another answer than a chunk");
  if (header->chunk >= plan_.hashes.size() || header->bytes != plan_.bytesOf(header->chunk)) {
    return unexpected("a chunk of another size");
  }
  const auto data = talk.buffer.first(header->bytes);
  if (auto received = talk.holder.receiveBytes(data); !received) return received;
  const bool right = plan_.isRight(header->chunk, data);
  {
    const std::lock_guard lock(mutex_);
    const ChunkIndex chunk{header->chunk};
    const Verdict verdict = download_->deliver(talk.id, chunk, right, Clock::now());
    if (verdict == Verdict::wrong) {
      return unexpected(fmt::format("a damaged chunk {}", header->chunk));
    }
    if (verdict == Verdict::unasked) return unexpected("a chunk that nobody asked for");
    talk.delivered = true;
    if (verdict == Verdict::duplicate) return {};
    sources_[talk.index].bytes += header->bytes;
    ++writing_;
  }
  auto written = staging_.write(plan_, header->chunk, data);
  if (!written) fail(written.error());
  const std::lock_guard lock(mutex_);
  --writing_;
  wake();
  return written;
}

FetchProgress FetchJob::progressNow() const {
  const std::lock_guard lock(mutex_);
  FetchProgress progress;
  progress.size = request_.size;
  progress.resumedBytes = resumedBytes_;
  if (download_) progress.heldBytes = download_->heldBytes();
  for (const auto& source : sources_) {
    if (!source.connected) continue;
    progress.sources.push_back(
        {source.holder.id, source.bytes, download_ ? download_->bytesPerSecond(source.id) : 0.0});
  }
  return progress;
}

// With mutex_ held: nobody is left, and something is missing.
Error FetchJob::failure() const {
  Error error{ErrorCode::failed, "nobody holds it"};
  std::vector<std::string> problems;
  for (const auto& source : sources_) {
    if (!source.problem) continue;
    error.code = source.problem->code;
    if (problems.size() < kProblemsNamed) {
      problems.push_back(fmt::format("{}: {}", source.holder.id.text(), source.problem->message));
    }
  }
  if (problems.empty()) return error;
  error.message = fmt::format("{}", fmt::join(problems, "; "));
  if (sources_.size() > kProblemsNamed) error.message += "; …";
  if (download_ && download_->heldBytes() > 0) {
    error.message += fmt::format(" ({} of {} are kept for the next try)",
                                 formatSize(download_->heldBytes()), formatSize(request_.size));
  }
  return error;
}

void FetchJob::report(FetchResult& result) const {
  const std::lock_guard lock(mutex_);
  result.resumedBytes = resumedBytes_;
  if (download_) result.wastedBytes = download_->wastedBytes();
  for (const auto& source : sources_) {
    if (source.dialled) {
      result.sources.push_back({source.holder.id, source.bytes, source.problem});
    }
  }
}

}  // namespace espalier::transfer
