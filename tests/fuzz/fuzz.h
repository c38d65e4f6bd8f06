// Helpers of the fuzz targets. A target is one function that libFuzzer calls with bytes. Besides
// not crashing, each target compares the result with an oracle: it encodes and decodes again, or
// runs a simpler program for the same input.
//
//   build-fuzz/tests/fuzz/fuzz_link -max_total_time=60        (meson setup build-fuzz -Dfuzz=true)
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace espalier::fuzz {

inline std::string_view view(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Ends the process, which libFuzzer reports as a finding, unless `holds`.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

// Takes the first byte of the input; 0 if it is empty.
inline std::uint8_t takeByte(std::string_view& input) {
  if (input.empty()) return 0;
  const auto byte = static_cast<std::uint8_t>(input.front());
  input.remove_prefix(1);
  return byte;
}

// Takes the input up to the first `separator`, which is dropped, or all of it.
inline std::string_view takeUntil(std::string_view& input, char separator) {
  const auto end = input.find(separator);
  const auto part = input.substr(0, end);
  input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
  return part;
}

// A payload that decodes must encode, and decode again to the same message.
template <typename Decode>
void checkMessage(std::string_view payload, Decode decode) {
  const auto message = decode(payload);
  if (!message) return;
  const std::string bytes = encode(*message);
  const auto again = decode(bytes);
  require(again.ok(), "what was encoded decodes");
  require(*again == *message, "and to the same message");
  require(encode(*again) == bytes, "and that encodes to the same bytes");
}

// A file in memory that has a path, for functions that read files.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    require(descriptor_ >= 0, "memfd_create");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }

  void write(std::string_view bytes) {
    const auto size = static_cast<ssize_t>(bytes.size());
    require(::ftruncate(descriptor_, 0) == 0 &&
                ::pwrite(descriptor_, bytes.data(), bytes.size(), 0) == size,
            "the file in memory was written");
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  const int descriptor_;
};

}  // namespace espalier::fuzz
