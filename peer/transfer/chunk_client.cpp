#include "peer/transfer/chunk_client.h"

#include <algorithm>
#include <utility>

#include "peer/transfer/fetch_problem.h"

namespace espalier::transfer {

void ChunkClient::askList(const FileRoot& root, std::uint64_t sizeBytes, std::uint64_t chunkBytes) {
  connection_.queue(wire::ChunkListRequest{root});
  questions_.push_back(List{ChunkListParts(root, sizeBytes, chunkBytes)});
}

void ChunkClient::askChunks(const Chunks& chunks) {
  connection_.queue(wire::ChunkRequest{chunks.root, chunks.chunkBytes, chunks.first, chunks.count,
                                       chunks.within});
  questions_.push_back(chunks);
  chunksAhead_ += chunks.count;
}

void ChunkClient::askHeld(const FileRoot& root) {
  connection_.queue(wire::ChunksHeldRequest{root});
  questions_.push_back(Held{});
}

// The oldest question has its answer, or gets none.
void ChunkClient::answered() {
  if (const auto* chunks = std::get_if<Chunks>(&questions_.front())) chunksAhead_ -= chunks->count;
  questions_.pop_front();
  begun_ = false;
}

Result<ChunkClient::Answer> ChunkClient::receive(Duration patience) {
  auto answer = connection_.receive(patience);
  if (!answer) return answer.error();
  if (questions_.empty()) return unexpected("an answer that nobody asked for");
  if (auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
    answered();
    return Answer(std::move(*failure));
  }
  Question& asked = questions_.front();
  if (auto* list = std::get_if<List>(&asked)) {
    auto* part = std::get_if<wire::ChunkList>(&*answer);
    if (part == nullptr) return unexpected("another answer than the list of hashes");
    return answerTo(*list, std::move(*part), patience);
  }
  if (auto* chunks = std::get_if<Chunks>(&asked)) return answerTo(*chunks, *answer);
  auto* held = std::get_if<wire::ChunksHeld>(&*answer);
  if (held == nullptr) return unexpected("another answer than the chunks that it holds");
  answered();
  return Answer(std::move(*held));
}

// A list comes in parts.
Result<ChunkClient::Answer> ChunkClient::answerTo(List& asked, wire::ChunkList part,
                                                  Duration patience) {
  while (true) {
    const auto added = asked.parts.add(part);
    if (added == ChunkListParts::Added::complete) {
      Answer plan = asked.parts.take();
      answered();
      return plan;
    }
    if (added != ChunkListParts::Added::more) return unexpected(describe(added));
    auto answer = connection_.receive(patience);
    if (!answer) return answer.error();
    if (auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
      answered();
      return Answer(std::move(*failure));
    }
    auto* next = std::get_if<wire::ChunkList>(&*answer);
    if (next == nullptr) return unexpected("another answer than the list of hashes");
    part = std::move(*next);
  }
}

Result<ChunkClient::Answer> ChunkClient::answerTo(Chunks& asked,
                                                  const wire::TransferAnswer& answer) {
  if (const auto* cut = std::get_if<wire::ChunksCut>(&answer)) {
    // At least one chunk must come first: else a holder could cut the same question endlessly.
    if (asked.within.count() == 0 || !begun_ || cut->first != asked.first) {
      return unexpected("an answer that nobody asked for");
    }
    const Cut rest{asked.first, asked.count};
    answered();
    return Answer(rest);
  }
  const auto* header = std::get_if<wire::ChunkHeader>(&answer);
  if (header == nullptr) return unexpected("another answer than a chunk");
  if (header->chunk != asked.first) return unexpected("a chunk that nobody asked for");
  const std::uint64_t offset = asked.first * asked.chunkBytes;
  if (offset >= asked.sizeBytes ||
      header->bytes != std::min(asked.chunkBytes, asked.sizeBytes - offset)) {
    return unexpected("a chunk of another size");
  }
  const Chunk chunk{header->chunk, header->bytes, asked.count == 1};
  ++asked.first;
  --asked.count;
  --chunksAhead_;
  begun_ = true;
  if (chunk.last) answered();
  return Answer(chunk);
}

void ChunkClient::reject(const FileRoot& root, Duration within) {
  connection_.queue(wire::ChunkRejected{root});
  if (connection_.flush()) connection_.drain(within);
}

}  // namespace espalier::transfer
