// Asks one holder for lists of hashes and for chunks, on one connection. Used by a fetch, a batch
// of small files and a push; they differ in what they ask for, and in what they do with answers.
//
//   ChunkClient client(endpoint, timeouts, interrupter);
//   client.askChunks({root, sizeBytes, chunkBytes, 0, 16});
//   client.open();                           // dials; the questions travel with the Hello
//   while (client.expects()) {
//     auto answer = client.receive();        // of the oldest question
//     …  client.receiveBytes(out);  …        // after a Chunk
//   }
//
// Invariant: every answer is checked against the question to which it belongs. A holder answers in
// the order of asking, so that is the oldest one. An answer that does not fit is an error of code
// `protocol`: "sent …". Whether the bytes of a chunk are right is checked by the caller, against
// its plan.
//
// One thread uses it. Blocks; an Interrupter wakes it. After an error only reject() may follow.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <variant>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/wire/hello.h"
#include "common/wire/transfer.h"
#include "peer/transfer/core/chunk_plan.h"
#include "peer/transfer/holder_connection.h"

namespace espalier::transfer {

class ChunkClient {
 public:
  // Chunks first … first + count - 1 of a file of `sizeBytes` that is cut into `chunkBytes`.
  struct Chunks {
    FileRoot root;
    std::uint64_t sizeBytes = 0;
    std::uint64_t chunkBytes = 0;
    std::uint64_t first = 0;
    std::uint32_t count = 0;
    // Of which to send only what is begun within that time; 0: all.
    std::chrono::milliseconds within{};
  };

  ChunkClient(Endpoint holder, Timeouts timeouts, net::Interrupter& interrupter,
              wire::Purpose purpose = wire::Purpose::transfer)
      : connection_(std::move(holder), timeouts, interrupter, purpose) {}
  // For its settings: how it reads, at which rate, and the callback for its place in the queue.
  HolderConnection& connection() { return connection_; }

  // --- asking: queued until open() or flush()
  // `chunkBytes`: 0 when the holder may choose.
  void askList(const FileRoot& root, std::uint64_t sizeBytes, std::uint64_t chunkBytes = 0);
  void askChunks(const Chunks& chunks);
  void askHeld(const FileRoot& root);

  Result<void> open() { return connection_.open(); }
  Result<void> flush() { return connection_.flush(); }

  // --- answers
  // Whether a question is not answered yet.
  bool expects() const { return !questions_.empty(); }
  // How many chunks were asked for and have not arrived.
  std::size_t chunksAhead() const { return chunksAhead_; }

  struct Chunk {  // its bytes follow: receiveBytes()
    std::uint64_t chunk = 0;
    std::uint32_t bytes = 0;
    bool last = false;  // of its question
  };
  struct Cut {  // of chunks that were asked for with a time, these are not sent
    std::uint64_t first = 0;
    std::uint32_t count = 0;
  };
  // The holder refused the question, or the rest of it.
  using Refused = wire::TransferFailure;
  // A ChunkPlan answers askList(); it matches its root.
  using Answer = std::variant<ChunkPlan, Chunk, Cut, wire::ChunksHeld, Refused>;

  // The next answer. `patience`: how long a holder may send signs of life in its place.
  Result<Answer> receive(Duration patience = Duration::max());
  Result<void> receiveBytes(std::span<std::byte> out) { return connection_.receiveBytes(out); }

  // After a chunk that did not match its hash: whether the holder says, within that time, that the
  // file changed while it was read. It says so at once, if it knows.
  bool saysChanged(Duration within) { return connection_.saysChanged(within); }
  // Tells the holder that what it sent was not the file, so that it reads the file again; then
  // drops what still comes, for that long at most.
  void reject(const FileRoot& root, Duration within);

 private:
  struct List {
    ChunkListParts parts;
  };
  struct Held {};
  using Question = std::variant<List, Chunks, Held>;

  Result<Answer> answerTo(List& asked, wire::ChunkList part, Duration patience);
  Result<Answer> answerTo(Chunks& asked, const wire::TransferAnswer& answer);
  void answered();

  HolderConnection connection_;
  std::deque<Question> questions_;  // the oldest first
  std::size_t chunksAhead_ = 0;
  bool begun_ = false;  // a chunk of the oldest question has arrived
};

}  // namespace espalier::transfer
