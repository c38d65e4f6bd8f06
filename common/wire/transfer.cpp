#include "common/wire/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/wire/file_form.h"
#include "transfer.pb.h"

namespace espalier::wire {
namespace {

Error malformedTransfer(std::string_view what) {
  return {ErrorCode::protocol, fmt::format("a malformed transfer message: {}", what)};
}

bool isChunkSize(std::uint64_t bytes) {
  return std::has_single_bit(bytes) && bytes >= limits::kBlockBytes &&
         bytes <= limits::kChunkBytesMax;
}

bool isName(std::string_view name) {
  return name.size() <= limits::kPathBytes && name.find('\0') == std::string_view::npos;
}

// A count of chunks that no file can have would overflow offsets later.
bool isChunkRange(std::uint64_t first, std::uint64_t count, std::uint64_t chunkBytes) {
  const std::uint64_t most = limits::kFileBytes / chunkBytes;
  return first <= most && count <= most - first;
}

Result<TransferRequest> fromProto(const proto::ChunkListRequest& message) {
  auto root = FileRoot::fromRaw(message.root());
  if (!root) return malformedTransfer("a root of the wrong length");
  return TransferRequest(ChunkListRequest{*root});
}

Result<TransferRequest> fromProto(const proto::ChunkRequest& message) {
  auto root = FileRoot::fromRaw(message.root());
  if (!root) return malformedTransfer("a root of the wrong length");
  if (!isChunkSize(message.chunk_bytes()))
    return malformedTransfer("a chunk size that is not allowed");
  if (message.count() == 0 || message.count() > limits::kChunksPerRequest) {
    return malformedTransfer("a number of chunks that is not allowed");
  }
  if (!isChunkRange(message.first(), message.count(), message.chunk_bytes())) {
    return malformedTransfer("chunks behind the end of any file");
  }
  return TransferRequest(ChunkRequest{*root, message.chunk_bytes(), message.first(),
                                      message.count(),
                                      std::chrono::milliseconds(message.within())});
}

Result<TransferRequest> fromProto(const proto::ListRequest& message) {
  if (!isName(message.after())) return malformedTransfer("a name that is not allowed");
  return TransferRequest(ListRequest{message.after()});
}

Result<TransferRequest> fromProto(const proto::ChunkRejected& message) {
  auto root = FileRoot::fromRaw(message.root());
  if (!root) return malformedTransfer("a root of the wrong length");
  return TransferRequest(ChunkRejected{*root});
}

Result<TransferRequest> fromProto(const proto::ChunksHeldRequest& message) {
  auto root = FileRoot::fromRaw(message.root());
  if (!root) return malformedTransfer("a root of the wrong length");
  return TransferRequest(ChunksHeldRequest{*root});
}

Result<TransferAnswer> fromProto(const proto::ChunkList& message) {
  ChunkList list{message.size(), message.chunk_bytes(), message.first(), {}, message.name()};
  if (list.size > limits::kFileBytes) return malformedTransfer("a file larger than any");
  if (!isChunkSize(list.chunkBytes)) return malformedTransfer("a chunk size that is not allowed");
  if (!isName(list.name)) return malformedTransfer("a name that is not allowed");
  const std::string_view hashes = message.hashes();
  const std::size_t count = hashes.size() / Digest::kSizeBytes;
  if (hashes.size() % Digest::kSizeBytes != 0 || count > limits::kHashesPerFrame) {
    return malformedTransfer("hashes of the wrong length");
  }
  const std::uint64_t chunks = (list.size + list.chunkBytes - 1) / list.chunkBytes;
  if (list.first > chunks || count > chunks - list.first) {
    return malformedTransfer("more hashes than the file has chunks");
  }
  list.hashes.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto raw = hashes.substr(i * Digest::kSizeBytes, Digest::kSizeBytes);
    std::copy(raw.begin(), raw.end(), reinterpret_cast<char*>(list.hashes[i].bytes.data()));
  }
  return TransferAnswer(std::move(list));
}

Result<TransferAnswer> fromProto(const proto::ChunkHeader& message) {
  if (message.bytes() == 0 || message.bytes() > limits::kChunkBytesMax) {
    return malformedTransfer("a chunk of a size that is not allowed");
  }
  if (message.chunk() >= limits::kFileBytes / limits::kBlockBytes) {
    return malformedTransfer("a chunk behind the end of any file");
  }
  return TransferAnswer(ChunkHeader{message.chunk(), message.bytes()});
}

Result<TransferAnswer> fromProto(const proto::FileList& message) {
  FileList list;
  list.more = message.more();
  list.indexing = message.indexing();
  list.total = message.total();
  list.files.reserve(static_cast<std::size_t>(message.files_size()));
  for (const auto& entry : message.files()) {
    auto root = FileRoot::fromRaw(entry.root());
    if (!root) return malformedTransfer("a root of the wrong length");
    if (!isPossibleFile(*root, entry.size())) return malformedTransfer("a file that cannot exist");
    if (entry.name().empty() || !isName(entry.name())) {
      return malformedTransfer("a name that is not allowed");
    }
    list.files.push_back({*root, entry.size(), entry.name()});
  }
  if (list.more && list.files.empty())
    return malformedTransfer("an empty page with more behind it");
  return TransferAnswer(std::move(list));
}

Result<TransferAnswer> fromProto(const proto::TransferFailure& message) {
  TransferFailure failure;
  if (proto::TransferFailure::Reason_IsValid(message.reason())) {
    failure.problem = static_cast<TransferProblem>(message.reason());
  }
  failure.message = std::string(cutUtf8(message.message(), limits::kMessageBytes));
  return TransferAnswer(std::move(failure));
}

Result<TransferAnswer> fromProto(const proto::ChunksCut& message) {
  if (message.first() >= limits::kFileBytes / limits::kBlockBytes) {
    return malformedTransfer("a chunk behind the end of any file");
  }
  return TransferAnswer(ChunksCut{message.first()});
}

Result<TransferAnswer> fromProto(const proto::ChunksHeld& message) {
  if (message.all()) return TransferAnswer(ChunksHeld{true, 0, {}});
  if (!isChunkSize(message.chunk_bytes()))
    return malformedTransfer("a chunk size that is not allowed");
  if (message.chunks().size() > limits::kHeldBytes) return malformedTransfer("too many chunks");
  return TransferAnswer(ChunksHeld{false, message.chunk_bytes(), message.chunks()});
}

void fill(const UnknownRequest&, proto::TransferRequest&) {}
void fill(const ChunkListRequest& request, proto::TransferRequest& out) {
  out.mutable_chunk_list()->set_root(std::string(request.root.view()));
}
void fill(const ChunkRequest& request, proto::TransferRequest& out) {
  assert(request.count >= 1 && request.count <= limits::kChunksPerRequest);
  auto& message = *out.mutable_chunks();
  message.set_root(std::string(request.root.view()));
  message.set_chunk_bytes(request.chunkBytes);
  message.set_first(request.first);
  message.set_count(request.count);
  message.set_within(static_cast<std::uint32_t>(request.within.count()));
}
void fill(const ListRequest& request, proto::TransferRequest& out) {
  out.mutable_list()->set_after(request.after);
}
void fill(const ChunkRejected& request, proto::TransferRequest& out) {
  out.mutable_rejected()->set_root(std::string(request.root.view()));
}
void fill(const ChunksHeldRequest& request, proto::TransferRequest& out) {
  out.mutable_held()->set_root(std::string(request.root.view()));
}

void fill(const ChunkList& list, proto::TransferAnswer& out) {
  assert(list.hashes.size() <= limits::kHashesPerFrame);
  auto& message = *out.mutable_chunk_list();
  message.set_size(list.size);
  message.set_chunk_bytes(list.chunkBytes);
  message.set_first(list.first);
  auto& hashes = *message.mutable_hashes();
  hashes.reserve(list.hashes.size() * Digest::kSizeBytes);
  for (const auto& hash : list.hashes) hashes.append(hash.view());
  message.set_name(list.name);
}
void fill(const ChunkHeader& header, proto::TransferAnswer& out) {
  out.mutable_chunk()->set_chunk(header.chunk);
  out.mutable_chunk()->set_bytes(header.bytes);
}
void fill(const FileList& list, proto::TransferAnswer& out) {
  auto& message = *out.mutable_list();
  message.set_more(list.more);
  message.set_indexing(list.indexing);
  message.set_total(list.total);
  for (const auto& entry : list.files) {
    auto& file = *message.add_files();
    file.set_root(std::string(entry.root.view()));
    file.set_size(entry.size);
    file.set_name(entry.name);
  }
}
void fill(const TransferFailure& failure, proto::TransferAnswer& out) {
  auto& message = *out.mutable_failure();
  message.set_reason(static_cast<proto::TransferFailure::Reason>(failure.problem));
  message.set_message(std::string(cutUtf8(failure.message, limits::kMessageBytes)));
}
void fill(const Waiting& waiting, proto::TransferAnswer& out) {
  out.mutable_waiting()->set_position(waiting.position);
}
void fill(const ChunksCut& cut, proto::TransferAnswer& out) {
  out.mutable_cut()->set_first(cut.first);
}
void fill(const ChunksHeld& held, proto::TransferAnswer& out) {
  assert(held.chunks.size() <= limits::kHeldBytes);
  auto& message = *out.mutable_held();
  message.set_all(held.all);
  message.set_chunk_bytes(held.chunkBytes);
  message.set_chunks(held.chunks);
}

template <typename Message, typename Variant>
std::string encodeVariant(const Variant& value) {
  Message message;
  std::visit([&](const auto& part) { fill(part, message); }, value);
  std::string payload = message.SerializeAsString();
  assert(payload.size() <= limits::kFrameBytes);
  return payload;
}

template <typename Message>
bool parse(Message& message, std::string_view payload) {
  return message.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
}

}  // namespace

std::string encode(const TransferRequest& request) {
  return encodeVariant<proto::TransferRequest>(request);
}

std::string encode(const TransferAnswer& answer) {
  return encodeVariant<proto::TransferAnswer>(answer);
}

Result<TransferRequest> decodeTransferRequest(std::string_view payload) {
  proto::TransferRequest message;
  if (!parse(message, payload)) return malformedTransfer("not a request");
  switch (message.kind_case()) {
    case proto::TransferRequest::kChunkList:
      return fromProto(message.chunk_list());
    case proto::TransferRequest::kChunks:
      return fromProto(message.chunks());
    case proto::TransferRequest::kList:
      return fromProto(message.list());
    case proto::TransferRequest::kHeld:
      return fromProto(message.held());
    case proto::TransferRequest::kRejected:
      return fromProto(message.rejected());
    case proto::TransferRequest::KIND_NOT_SET:
      break;
  }
  return TransferRequest(UnknownRequest{});
}

Result<TransferAnswer> decodeTransferAnswer(std::string_view payload) {
  proto::TransferAnswer message;
  if (!parse(message, payload)) return malformedTransfer("not an answer");
  switch (message.kind_case()) {
    case proto::TransferAnswer::kChunkList:
      return fromProto(message.chunk_list());
    case proto::TransferAnswer::kChunk:
      return fromProto(message.chunk());
    case proto::TransferAnswer::kList:
      return fromProto(message.list());
    case proto::TransferAnswer::kFailure:
      return fromProto(message.failure());
    case proto::TransferAnswer::kWaiting:
      return TransferAnswer(Waiting{message.waiting().position()});
    case proto::TransferAnswer::kHeld:
      return fromProto(message.held());
    case proto::TransferAnswer::kCut:
      return fromProto(message.cut());
    case proto::TransferAnswer::KIND_NOT_SET:
      break;
  }
  return malformedTransfer("an answer of no kind that this version knows");
}

std::size_t encodedBytesAtMost(const FileEntry& entry) {
  return entry.name.size() + Digest::kSizeBytes + 32;  // 32: tags, lengths, the size as a varint
}

}  // namespace espalier::wire
