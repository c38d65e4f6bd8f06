#include "peer/transfer/fetch_conversation.h"

#include <utility>
#include <variant>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "peer/transfer/fetch_problem.h"

namespace espalier::transfer {

FetchConversation::FetchConversation(FetchWork& work, std::size_t index, const Holder& source,
                                     const DownloaderOptions& options,
                                     net::Interrupter& interrupter)
    : work_(work),
      index_(index),
      client_(source.endpoint, options.timeouts, interrupter),
      partial_(source.partial) {
  client_.connection().limit(options.rate);
  client_.connection().onWaiting(
      [this](std::uint32_t position) { work_.waiting(index_, position); });
}

FetchWork::Left FetchConversation::run(std::stop_token stop) {
  auto ended = converse(std::move(stop));
  auto left = work_.leave(index_, std::move(ended), changed_);
  if (left.damaged) client_.reject(work_.request().root, kLieGrace);
  if (askAgain_ && !left.why && !left.damaged) left.again = true;
  return left;
}

Result<void> FetchConversation::converse(std::stop_token stop) {
  const auto [known, chunkBytes] = work_.join(index_);
  chunkBytes_ = chunkBytes;
  // Every source that comes before the plan is known is asked for the list: a silent first one
  // would keep all others waiting, and a list is small.
  if (!known) client_.askList(work_.request().root, work_.request().size);
  if (known || work_.mayAskAhead()) askAhead();
  if (auto opened = client_.open(); !opened) {
    if (client_.connection().isBusy()) work_.busy(index_);
    return opened;
  }
  work_.connected(index_, client_.connection().stream());
  if (!known) {
    if (auto learned = learnPlan(std::move(stop)); !learned) return learned;
  }
  return fetchChunks();
}

Result<void> FetchConversation::learnPlan(std::stop_token stop) {
  auto answer = client_.receive();
  if (!answer) return answer.error();
  if (const auto* refused = std::get_if<ChunkClient::Refused>(&*answer)) {
    return fromHolder(*refused);
  }
  auto* plan = std::get_if<ChunkPlan>(&*answer);
  if (plan == nullptr) return unexpected("another answer than the list of hashes");
  if (auto adopted = work_.adopt(std::move(*plan), std::move(stop)); !adopted) return adopted;
  const auto lock = work_.lock();
  if (work_.over(lock)) return {};
  if (chunkBytes_ == work_.plan().chunkBytes) return {};
  // What is on its way is cut differently.
  askAgain_ = true;
  return Error{ErrorCode::io, "cuts the file differently"};
}

Result<void> FetchConversation::fetchChunks() {
  while (true) {
    askAhead();
    if (auto sent = client_.flush(); !sent) return sent;
    // What still is on its way is not waited for then.
    if (work_.over(work_.lock())) return {};
    if (work_.lieOf(index_)) return awaitReason();
    if (client_.expects()) {
      if (auto received = receive(); !received) return received;
    } else {
      work_.awaitMore();
    }
  }
}

// Queues what the schedule gives.
void FetchConversation::askAhead() {
  const auto& request = work_.request();
  const TimePoint now = Clock::now();
  if (partial_ && !heldAsked_ && now - heldAt_ >= limits::kHeldInterval) {
    client_.askHeld(request.root);
    heldAsked_ = true;
    heldAt_ = now;
  }
  for (const auto& range : work_.next(index_)) {
    ChunkClient::Chunks chunks{request.root,        request.size, chunkBytes_,
                               number(range.first), range.count,  {}};
    if (range.trial) chunks.within = Download::kAhead;
    client_.askChunks(chunks);
  }
}

Result<void> FetchConversation::receive() {
  auto answer = client_.receive();
  if (!answer) return answer.error();
  if (const auto* refused = std::get_if<ChunkClient::Refused>(&*answer)) {
    changed_ = refused->problem == wire::TransferProblem::changed;
    // Others said that it has the whole file, which may be wrong.
    if (refused->problem == wire::TransferProblem::badRequest && !partial_) {
      askAgain_ = true;
      work_.holdsParts(index_);
      return Error{ErrorCode::io, escaped(refused->message)};
    }
    return fromHolder(*refused);
  }
  if (auto lie = work_.lieOf(index_)) return std::move(*lie);
  if (const auto* held = std::get_if<wire::ChunksHeld>(&*answer)) {
    heldAsked_ = false;
    if (held->all) partial_ = false;
    work_.offer(index_, *held);
    return {};
  }
  if (const auto* cut = std::get_if<ChunkClient::Cut>(&*answer)) {
    work_.release(index_, {ChunkIndex{cut->first}, cut->count});
    return {};
  }
  const auto* chunk = std::get_if<ChunkClient::Chunk>(&*answer);
  if (chunk == nullptr) return unexpected("another answer than a chunk");
  return receiveChunk(*chunk);
}

Result<void> FetchConversation::receiveChunk(const ChunkClient::Chunk& chunk) {
  auto buffer = work_.buffer();
  auto received = client_.receiveBytes(buffer.first(chunk.bytes));
  if (!received) {
    work_.unused(std::move(buffer));
    return received;
  }
  work_.received(index_, chunk.chunk, chunk.bytes, std::move(buffer));
  return {};
}

// A chunk was wrong: the source may say that the file has changed. It says so at once, if it knows.
Result<void> FetchConversation::awaitReason() {
  changed_ = client_.saysChanged(kLieGrace);
  return changed_ ? changedThere() : unexpected("a damaged chunk");
}

}  // namespace espalier::transfer
