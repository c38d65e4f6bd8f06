#include "peer/transfer/fetch_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <thread>
#include <utility>
#include <variant>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/base/signals.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/crypto/file_tree.h"
#include "peer/transfer/fetch_problem.h"

namespace espalier::transfer {
namespace {

constexpr std::size_t kProblemsNamed = 3;
constexpr int kTriesInVain = 2;
constexpr auto kLieGrace = std::chrono::seconds(1);
// A source that lied is cut only after its thread has heard it and told it: kLieGrace each.
constexpr auto kLieCut = 3 * kLieGrace;

std::uint64_t randomSeed() {
  std::array<std::uint8_t, sizeof(std::uint64_t)> bytes;
  fillFromKernel(bytes);
  return std::bit_cast<std::uint64_t>(bytes);
}

Download schedule(const FetchRequest& request, std::uint64_t chunkBytes) {
  return Download(request.size, chunkBytes, request.holders.size() == 1, randomSeed());
}

}  // namespace

struct FetchJob::Conversation {
  std::size_t index;
  HolderConnection holder;
  SourceId id{};
  std::uint64_t chunkBytes = 0;  // of the chunks that were asked for before the plan was known
  ChunkRange trial{};            // what is left of it
  bool trialBegun = false;
  bool again = false;  // its holder is to be dialled once more
  bool partial = false;
  bool changed = false;    // the holder says so
  bool damaged = false;    // a chunk did not match, and it does not
  bool heldAsked = false;  // the answer is under way
  TimePoint heldAt{};      // when it was asked for last
};

FetchJob::FetchJob(const FetchRequest& request, const DownloaderOptions& options, PartFile& part)
    : request_(request),
      options_(options),
      part_(part),
      download_(schedule(request, crypto::chunkBytesFor(request.size))),
      lanes_(request.search ? limits::kFetchSources
                            : std::min(request.holders.size(), limits::kFetchSources),
             [this](ArrivedChunk& arrived) { finish(arrived); }) {
  addHolders(request.holders);
}

FetchJob::~FetchJob() {
  if (!given_) return;
  given_->end();
  request_.partialFiles->remove(given_);
}

// With mutex_ held. Whether there is anybody new to dial. One id at another endpoint is another
// source: it came back elsewhere, or somebody lied about where it is, and nobody knows who.
bool FetchJob::addHolders(const std::vector<Holder>& holders) {
  bool more = false;
  for (const auto& holder : holders) {
    const auto known = std::find_if(sources_.begin(), sources_.end(), [&](const Source& source) {
      return source.holder.id == holder.id && source.holder.endpoint == holder.endpoint;
    });
    if (known == sources_.end()) {
      if (sources_.size() == limits::kFetchHolders) continue;
      sources_.emplace_back().holder = holder;
      toDial_.push_back(sources_.size() - 1);
    } else {
      if (!known->ended || known->lied || known->tries >= kTriesInVain) continue;
      known->ended = false;
      toDial_.push_back(static_cast<std::size_t>(known - sources_.begin()));
    }
    more = true;
  }
  return more;
}

// With mutex_ held.
void FetchJob::startThreads(std::vector<std::jthread>& threads) {
  while (working_ < limits::kFetchSources) {
    const auto first = nextHolder();
    if (!first) return;
    const auto started = startThread(threads, [this, first] { work(*first); });
    if (!started) {
      toDial_.push_front(*first);
      // Those that there are go on; without any, nothing would.
      if (working_ == 0 && !failed_) failed_ = started.error();
      return;
    }
    ++working_;
  }
}

void FetchJob::seekHolders() {
  const std::stop_token stop = interrupter_.token();
  Duration pause = limits::kSeekHoldersFirst;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested() && !over()) {
    ended_.wait_for(lock, stop, pause, [this] { return over() || working_ == 0; });
    if (stop.stop_requested() || over()) break;
    lock.unlock();
    const auto found = request_.search(request_.size, stop);
    lock.lock();
    const bool more = addHolders(found);
    ended_.notify_all();
    if (!more && working_ == 0) break;
    if (more) ended_.wait(lock, stop, [this] { return toDial_.empty() || working_ > 0; });
    pause = std::min<Duration>(pause * 3, limits::kSeekHoldersMost);
  }
  seeking_ = false;
  ended_.notify_all();
}

Result<void> FetchJob::run(std::stop_token stop, const ProgressCallback& progress) {
  stop_ = stop;
  auto known = ChunkPlan::ofSmall(request_.root, request_.size);
  if (!known) known = part_.earlierPlan();
  if (known) {
    if (auto adopted = adopt(std::move(*known)); !adopted) return adopted.error();
  }
  const std::stop_callback onStop(stop, [this] { fail({ErrorCode::interrupted, "interrupted"}); });
  std::vector<std::jthread> threads;
  std::jthread seeker;
  std::unique_lock lock(mutex_);
  if (!over() && request_.search) {
    seeking_ = startThread(seeker, [this] { seekHolders(); }).ok();
  }
  bool reserving = true;
  TimePoint shown = Clock::now();
  while (!over()) {
    startThreads(threads);
    cutLiars();
    if (working_ == 0 && !seeking_) break;
    const bool planned = planState_ == PlanState::known;
    if (!reserving || !planned) ended_.wait_for(lock, options_.progressInterval);
    lock.unlock();
    if (reserving && planned) {
      const auto more = part_.reserveMore();
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
  seeker = {};
  lock.lock();
  if (failed_) return *failed_;
  if (!download_.complete()) return failure();
  return {};
}

// With mutex_ held. The disk has everything, or nothing more can be done.
bool FetchJob::over() const {
  return failed_ || (planState_ == PlanState::known && download_.complete() && writing_ == 0);
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

void FetchJob::work(std::size_t first) {
  const QuietSignals quiet;
  serveFrom(first);
  std::unique_lock lock(mutex_);
  while (const auto index = nextHolder()) {
    lock.unlock();
    serveFrom(*index);
    lock.lock();
  }
  --working_;
  wake();
}

// With mutex_ held.
std::optional<std::size_t> FetchJob::nextHolder() {
  if (over() || toDial_.empty()) return std::nullopt;
  const std::size_t next = toDial_.front();
  toDial_.pop_front();
  return next;
}

// Until there is nothing more to be had from this holder.
void FetchJob::serveFrom(std::size_t index) {
  while (true) {
    std::unique_lock lock(mutex_);
    Source& source = sources_[index];
    Conversation talk{index,
                      HolderConnection(source.holder.endpoint, options_.timeouts, interrupter_)};
    source.dialled = true;
    source.id = talk.id = SourceId{nextId_++};
    source.delivered = false;
    source.position = 0;
    ++source.tries;
    talk.partial = source.holder.partial;
    lock.unlock();
    talk.holder.limit(options_.rate);
    talk.holder.onWaiting([this, &source](std::uint32_t position) {
      const std::lock_guard locked(mutex_);
      source.position = position;
    });
    const auto ended = endConversation(talk, converse(talk));
    if (talk.damaged) reject(talk);
    if (ended) return;
    if (talk.again) continue;
    lock.lock();
    source.ended = true;
    source.problem = ended.error();
    log::info("{} {}: {}", source.holder.id.text(), source.holder.endpoint.text(),
              ended.error().message);
    return;
  }
}

// Why it ended, once the lanes have judged all that came; `ok` when all is over.
Result<void> FetchJob::endConversation(Conversation& talk, Result<void> ended) {
  std::unique_lock lock(mutex_);
  Source& source = sources_[talk.index];
  ++idle_;
  changed_.wait(lock, [&] { return source.inLanes == 0; });
  --idle_;
  source.connected = false;
  source.stream = nullptr;
  download_.leave(talk.id);
  if (source.delivered) source.tries = 0;
  wake();
  // A chunk that was read while the file changed is no lie.
  if (talk.changed) source.lie.reset();
  talk.damaged = source.lie.has_value();
  if (over()) return {};
  source.lied = source.lie || (!ended && ended.error().code == ErrorCode::protocol);
  if (source.lie) {
    talk.again = false;
    return *source.lie;
  }
  // Whoever delivered and broke off may just have been restarted.
  if (!ended && ended.error().code == ErrorCode::io && source.delivered) talk.again = true;
  return ended;
}

Result<void> FetchJob::converse(Conversation& talk) {
  bool known = false;
  {
    const std::lock_guard lock(mutex_);
    known = planState_ == PlanState::known;
    talk.chunkBytes = download_.chunkBytes();
    if (talk.partial) {
      download_.join(talk.id, ChunkSet(download_.map().chunks()));
    } else {
      download_.joinWithAll(talk.id);
    }
  }
  if (!known) talk.holder.queue(wire::ChunkListRequest{request_.root});
  // Not before the list where there is no room, which its size may disprove, or where an earlier
  // run left what only the list can tell from nothing.
  const bool ahead = part_.roomFor(request_.size) && !part_.mayHoldUnknown();
  if (known || ahead) (void)askAhead(talk);
  if (auto opened = talk.holder.open(); !opened) return opened;
  {
    const std::lock_guard lock(mutex_);
    sources_[talk.index].connected = true;
    sources_[talk.index].stream = &talk.holder.stream();
  }
  if (!known) {
    if (auto learned = learnPlan(talk); !learned) return learned;
    const std::lock_guard lock(mutex_);
    if (over()) return {};
    if (talk.chunkBytes != part_.plan().chunkBytes) {
      // What is on its way is cut differently.
      talk.again = true;
      return Error{ErrorCode::io, "cuts the file differently"};
    }
  }
  return fetchChunks(talk);
}

// Every source that comes before the plan is known asks for the list: a silent first one would keep
// all others waiting, and a list is small.
Result<void> FetchJob::learnPlan(Conversation& talk) {
  ChunkListParts parts(request_.root, request_.size);
  auto added = ChunkListParts::Added::more;
  while (added == ChunkListParts::Added::more) {
    auto answer = talk.holder.receive();
    if (!answer) return answer.error();
    if (const auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
      return fromHolder(*failure);
    }
    const auto* part = std::get_if<wire::ChunkList>(&*answer);
    if (!part) return unexpected("another answer than the list of hashes");
    added = parts.add(*part);
  }
  if (added != ChunkListParts::Added::complete) return unexpected(describe(added));
  return adopt(parts.take());
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
  const auto held = part_.begin(std::move(plan), stop_);
  if (!held) {
    fail(held.error());
    return held.error();
  }
  giveOn(*held);
  const std::lock_guard lock(mutex_);
  if (part_.plan().chunkBytes != download_.chunkBytes()) {
    download_ = schedule(request_, part_.plan().chunkBytes);
  }
  // Of an earlier run: nothing is asked for before they are known.
  for (const auto chunk : *held) download_.hold(ChunkIndex{chunk});
  resumedBytes_ = download_.heldBytes();
  planState_ = PlanState::known;
  if (idle_ > 0) changed_.notify_all();
  ended_.notify_all();
  return {};
}

// Lets other peers have what is there from now on. Not for a file of one chunk, nor for one that is
// cut in a way that nobody asks for.
void FetchJob::giveOn(const std::vector<std::uint64_t>& held) {
  const ChunkPlan& plan = part_.plan();
  if (request_.partialFiles == nullptr || plan.hashes.size() < 2 ||
      plan.hashes.size() > limits::kHeldBytes * 8 ||
      plan.chunkBytes != crypto::chunkBytesFor(plan.sizeBytes)) {
    return;
  }
  auto given = std::make_shared<PartialFile>(plan.root, plan.sizeBytes, request_.saveAs);
  if (!part_.giveOn(given, held)) return;
  given_ = std::move(given);
  request_.partialFiles->put(given_);
}

Result<void> FetchJob::fetchChunks(Conversation& talk) {
  while (true) {
    const bool expects = askAhead(talk);
    if (auto sent = talk.holder.flush(); !sent) return sent;
    if (expects) {
      if (auto received = receive(talk); !received) return received;
      continue;
    }
    std::unique_lock lock(mutex_);
    if (over()) return {};
    const Source& source = sources_[talk.index];
    if (source.lie) {
      lock.unlock();
      return hearLast(talk);
    }
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
  const TimePoint now = Clock::now();
  if (talk.partial && !talk.heldAsked && now - talk.heldAt >= limits::kHeldInterval) {
    talk.holder.queue(wire::ChunksHeldRequest{request_.root});
    talk.heldAsked = true;
    talk.heldAt = now;
  }
  while (const auto range = download_.next(talk.id, now)) {
    wire::ChunkRequest request{request_.root, download_.chunkBytes(), number(range->first),
                               range->count};
    if (range->trial) {
      request.within = Download::kAhead;
      talk.trial = *range;
      talk.trialBegun = false;
    }
    talk.holder.queue(request);
  }
  return talk.heldAsked || download_.map().askedOf(talk.id).size() > sources_[talk.index].inLanes;
}

Result<void> FetchJob::receive(Conversation& talk) {
  auto answer = talk.holder.receive();
  if (!answer) return answer.error();
  if (const auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
    talk.changed = failure->problem == wire::TransferProblem::changed;
    return fromHolder(*failure);
  }
  {
    const std::lock_guard lock(mutex_);
    if (const auto& lie = sources_[talk.index].lie) return *lie;
  }
  if (const auto* held = std::get_if<wire::ChunksHeld>(&*answer)) return learnHeld(talk, *held);
  if (const auto* cut = std::get_if<wire::ChunksCut>(&*answer)) return endTrial(talk, *cut);
  const auto* header = std::get_if<wire::ChunkHeader>(&*answer);
  if (!header) return unexpected("another answer than a chunk");
  return receiveChunk(talk, *header);
}

// A chunk was wrong, and nothing more is on its way: the holder may say that it has changed.
Result<void> FetchJob::hearLast(Conversation& talk) {
  talk.changed = talk.holder.saysChanged(kLieGrace);
  return talk.changed ? changedThere() : unexpected("a damaged chunk");
}

Result<void> FetchJob::learnHeld(Conversation& talk, const wire::ChunksHeld& held) {
  if (!std::exchange(talk.heldAsked, false)) return unexpected("an answer that nobody asked for");
  const std::lock_guard lock(mutex_);
  const std::uint64_t chunks = download_.map().chunks();
  if (held.all) {
    talk.partial = false;
    download_.offer(talk.id, ChunkSet::all(chunks));
  } else if (held.chunkBytes == download_.chunkBytes()) {
    download_.offer(talk.id, ChunkSet::fromBits(chunks, held.chunks));
  }
  return {};
}

Result<void> FetchJob::endTrial(Conversation& talk, const wire::ChunksCut& cut) {
  const ChunkRange rest = std::exchange(talk.trial, {});
  // One chunk at least is sent: else it could be cut again and again.
  if (rest.count == 0 || !talk.trialBegun || cut.first != number(rest.first)) {
    return unexpected("an answer that nobody asked for");
  }
  const std::lock_guard lock(mutex_);
  download_.giveBack(talk.id, rest);
  wake();
  return {};
}

Result<void> FetchJob::receiveChunk(Conversation& talk, const wire::ChunkHeader& header) {
  if (header.chunk >= part_.plan().hashes.size() ||
      header.bytes != part_.plan().bytesOf(header.chunk)) {
    return unexpected("a chunk of another size");
  }
  if (talk.trial.count > 0 && header.chunk == number(talk.trial.first)) {
    talk.trial = {ChunkIndex{header.chunk + 1}, talk.trial.count - 1};
    talk.trialBegun = true;
  }
  ArrivedChunk arrived{
      talk.index, header.chunk, header.bytes, {}, lanes_.take(part_.plan().chunkBytes)};
  auto received = talk.holder.receiveBytes(arrived.buffer.first(arrived.bytes));
  if (!received) {
    lanes_.giveBack(std::move(arrived.buffer));
    return received;
  }
  arrived.arrived = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    ++sources_[talk.index].inLanes;
  }
  if (part_.plan().hashes.size() > 1) {
    lanes_.put(std::move(arrived));
  } else {
    finish(arrived);  // rather than start a thread for it
    lanes_.giveBack(std::move(arrived.buffer));
  }
  return {};
}

// On a lane.
void FetchJob::finish(ArrivedChunk& arrived) {
  const auto data = arrived.buffer.first(arrived.bytes);
  if (!judge(arrived, part_.plan().isRight(arrived.chunk, data))) return;
  if (auto written = part_.write(arrived.chunk, data); !written) fail(written.error());
  const std::lock_guard lock(mutex_);
  --writing_;
  wake();
}

// Whether it is to be written.
bool FetchJob::judge(const ArrivedChunk& arrived, bool right) {
  const std::lock_guard lock(mutex_);
  Source& source = sources_[arrived.source];
  const Verdict verdict =
      download_.deliver(source.id, ChunkIndex{arrived.chunk}, right, arrived.arrived);
  --source.inLanes;
  switch (verdict) {
    case Verdict::fresh:
      source.delivered = true;
      source.bytes += arrived.bytes;
      ++writing_;
      return true;
    case Verdict::duplicate:
      source.delivered = true;
      break;
    case Verdict::wrong:
    case Verdict::unasked:
      if (!source.lie) {
        source.lie = verdict == Verdict::unasked
                         ? unexpected("a chunk that nobody asked for")
                         : unexpected(fmt::format("a damaged chunk {}", arrived.chunk));
        source.lieAt = Clock::now();
      }
      break;
  }
  wake();
  return false;
}

// With mutex_ held. Whoever sent a wrong chunk may say that the file has changed, which it does at
// once; its thread may else wait for more of the same.
void FetchJob::cutLiars() {
  const TimePoint now = Clock::now();
  for (const auto& source : sources_) {
    if (!source.lie || source.stream == nullptr || now - source.lieAt < kLieCut) continue;
    source.stream->cut();
  }
}

// Tells the holder that what it sent was not the file, so that it looks at it again.
void FetchJob::reject(Conversation& talk) {
  talk.holder.queue(wire::ChunkRejected{request_.root});
  if (talk.holder.flush()) talk.holder.drain(kLieGrace);
}

FetchProgress FetchJob::progressNow() const {
  const std::lock_guard lock(mutex_);
  FetchProgress progress;
  progress.size = request_.size;
  progress.resumedBytes = resumedBytes_;
  progress.heldBytes = download_.heldBytes();
  for (const auto& source : sources_) {
    if (!source.connected) continue;
    progress.sources.push_back(
        {source.holder.id, source.bytes, download_.bytesPerSecond(source.id), source.position});
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
  if (download_.heldBytes() > 0) {
    error.message += fmt::format(" ({} of {} are kept for the next try)",
                                 formatSize(download_.heldBytes()), formatSize(request_.size));
  }
  return error;
}

void FetchJob::report(FetchResult& result) const {
  const std::lock_guard lock(mutex_);
  result.resumedBytes = resumedBytes_;
  result.wastedBytes = download_.wastedBytes();
  for (const auto& source : sources_) {
    if (source.dialled) {
      result.sources.push_back({source.holder.id, source.bytes, source.problem});
    }
  }
}

}  // namespace espalier::transfer
