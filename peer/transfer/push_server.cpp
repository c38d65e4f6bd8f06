#include "peer/transfer/push_server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <utility>
#include <variant>

#include "common/wire/frame.h"
#include "common/wire/transfer.h"
#include "peer/transfer/paced_stream.h"

namespace espalier::transfer {
namespace {

using There = PartialFile::There;
using wire::TransferFailure;
using wire::TransferProblem;

constexpr std::size_t kRequestBytes = 4096;  // requests are small

// One connection.
class Conversation final : public UploadSlots::Conversation {
 public:
  Conversation(net::BlockingStream& stream, PartialFiles& store, const PushServerOptions& options,
               std::atomic<std::uint64_t>& bytes, std::stop_token stop)
      : stream_(stream),
        store_(store),
        options_(options),
        pace_{options.rate, std::move(stop)},
        bytes_(bytes) {}

  // Nobody waits for a slot of these.
  Result<bool> serve(const UploadSlots::TurnIsOver&) override {
    std::array<std::byte, kRequestBytes> buffer;
    while (true) {
      auto frame = reader_.next();
      if (!frame) return frame.error();
      if (!*frame) {
        const auto received = stream_.read(buffer);
        if (!received) return received.error();
        reader_.append({reinterpret_cast<const char*>(buffer.data()), *received});
        continue;
      }
      auto request = wire::decodeTransferRequest(**frame);
      if (!request) {
        (void)send(TransferFailure{TransferProblem::badRequest, request.error().message});
        return request.error();
      }
      auto sent = std::visit([this](const auto& part) { return answer(part); }, *request);
      if (!sent) return sent.error();
    }
  }

 private:
  template <typename Request>
  Result<void> answer(const Request&) {
    return send(TransferFailure{TransferProblem::badRequest, "a push is asked for chunks only"});
  }

  Result<void> answer(const wire::ChunkListRequest& request) {
    const auto file = awaited(request.root);
    if (!file) return file.error();
    if (!*file) return notThere();
    wire::ChunkList list;
    list.size = (*file)->size();
    list.chunkBytes = (*file)->plan().chunkBytes;
    std::span<const Digest> left((*file)->plan().hashes);
    do {
      const auto part = left.first(std::min(left.size(), limits::kHashesPerFrame));
      list.hashes.assign(part.begin(), part.end());
      left = left.subspan(part.size());
      if (auto sent = send(list, !left.empty()); !sent) return sent;
      list.first += part.size();
    } while (!left.empty());
    return {};
  }

  Result<void> answer(const wire::ChunkRequest& request) {
    const auto awaitedFile = awaited(request.root);
    if (!awaitedFile) return awaitedFile.error();
    const auto file = *awaitedFile;
    if (!file) return notThere();
    const ChunkPlan& plan = file->plan();
    if (request.chunkBytes != plan.chunkBytes ||
        request.first + request.count > plan.hashes.size()) {
      return send(TransferFailure{TransferProblem::badRequest, "chunks that the file has not"});
    }
    for (std::uint64_t chunk = request.first; chunk < request.first + request.count; ++chunk) {
      const auto there = awaitChunk(*file, chunk);
      if (!there) return there.error();
      if (!*there) return notThere();
      if (!file->unchanged()) {
        return send(TransferFailure{TransferProblem::changed, "the file has changed"});
      }
      const std::uint64_t bytes = plan.bytesOf(chunk);
      const wire::ChunkHeader header{chunk, static_cast<std::uint32_t>(bytes)};
      if (auto sent = send(header, true); !sent) return sent;
      if (auto sent = sendBytes(file->descriptor(), plan.offset(chunk), bytes); !sent) return sent;
      bytes_ += bytes;
    }
    return {};
  }

  // The file once it is known how it is cut; nothing when it never will be.
  Result<std::shared_ptr<PartialFile>> awaited(const FileRoot& root) {
    auto file = store_.find(root);
    if (!file) return file;
    while (true) {
      const auto there = file->awaitPlan(options_.waiting);
      if (there == There::yes) return file;
      if (there == There::never) return std::shared_ptr<PartialFile>();
      if (auto sent = send(wire::Waiting{1}); !sent) return sent.error();
    }
  }

  Result<bool> awaitChunk(PartialFile& file, std::uint64_t chunk) {
    while (true) {
      const auto there = file.awaitChunk(chunk, options_.waiting);
      if (there != There::notYet) return there == There::yes;
      if (auto sent = send(wire::Waiting{1}); !sent) return sent.error();
    }
  }

  Result<void> notThere() {
    return send(TransferFailure{TransferProblem::notShared, "it is not being pushed here"});
  }

  Result<void> sendBytes(int file, std::uint64_t offset, std::uint64_t bytes) {
    const auto left = sendFile(stream_, file, offset, bytes, pace_);
    if (!left) return left.error();
    if (*left > 0) return Error{ErrorCode::io, "a pushed file has become shorter"};
    return {};
  }

  Result<void> send(const wire::TransferAnswer& answer, bool moreFollows = false) {
    std::string frame;
    wire::appendFrame(wire::encode(answer), frame);
    return stream_.write(frame, moreFollows);
  }

  net::BlockingStream& stream_;
  PartialFiles& store_;
  const PushServerOptions& options_;
  const Pace pace_;
  std::atomic<std::uint64_t>& bytes_;
  wire::FrameReader reader_;
};

}  // namespace

PushServer::PushServer(PartialFiles& store, PushServerOptions options)
    : store_(store),
      options_(options),
      slots_({.slots = options.slots, .queue = 0, .silence = options.silence},
             [this](net::BlockingStream& stream, std::stop_token stop) {
               return std::make_shared<Conversation>(stream, store_, options_, bytes_,
                                                     std::move(stop));
             }) {}

void PushServer::serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello) {
  slots_.serve(std::move(stream), hello);
}

void PushServer::stop() {
  store_.endAll();
  slots_.stop();
}

}  // namespace espalier::transfer
