// One conversation of a fetch: dials a source, asks for the list of hashes unless it is known, and
// for chunks as the schedule says, and hands what arrives to the lanes.
//
// With the list, chunks are already asked for, so that a far source costs one round trip. A source
// that holds parts of the file is asked now and then which, and for those. When the lanes found
// that the source lied, it may say that the file has changed; else it is told, so that it looks at
// the file again.
//
// Used once, by one thread, which blocks. The interrupter wakes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/net/interrupter.h"
#include "peer/transfer/chunk_client.h"
#include "peer/transfer/fetch_work.h"

namespace espalier::transfer {

class FetchConversation {
 public:
  // With the source of that index.
  FetchConversation(FetchWork& work, std::size_t index, const Holder& source,
                    const DownloaderOptions& options, net::Interrupter& interrupter);

  // Until there is nothing more to be had from the source.
  FetchWork::Left run(std::stop_token stop);

 private:
  Result<void> converse(std::stop_token stop);
  Result<void> learnPlan(std::stop_token stop);
  Result<void> fetchChunks();
  void askAhead();
  Result<void> receive();
  Result<void> receiveChunk(const ChunkClient::Chunk& chunk);
  Result<void> awaitReason();

  FetchWork& work_;
  const std::size_t index_;
  ChunkClient client_;
  std::uint64_t chunkBytes_ = 0;  // of the chunks that are asked for
  bool partial_;                  // the source holds parts, as far as is known
  bool changed_ = false;          // the source says so
  bool askAgain_ = false;         // in another way: the source is dialled again
  bool heldAsked_ = false;        // the answer is under way
  TimePoint heldAt_{};            // when it was asked for last
};

}  // namespace espalier::transfer
