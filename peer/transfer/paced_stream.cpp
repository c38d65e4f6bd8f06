#include "peer/transfer/paced_stream.h"

namespace espalier::transfer {

Result<std::uint64_t> sendFile(net::BlockingStream& stream, int file, std::uint64_t offset,
                               std::uint64_t bytes, const Pace& pace) {
  while (bytes > 0) {
    const std::uint64_t slice = pace.take(bytes);
    const auto left = stream.sendFile(file, offset, slice);
    if (!left) return left;
    offset += slice - *left;
    bytes -= slice - *left;
    if (*left > 0) return bytes;
  }
  return 0;
}

Result<void> receiveAll(net::BlockingStream& stream, std::span<std::byte> out, const Pace& pace,
                        Duration gathering) {
  while (!out.empty()) {
    const std::size_t slice = pace.take(out.size());
    if (auto got = stream.readAll(out.first(slice), gathering); !got) return got;
    out = out.subspan(slice);
  }
  return {};
}

}  // namespace espalier::transfer
