#include "peer/transfer/paced_stream.h"

namespace espalier::transfer {

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
