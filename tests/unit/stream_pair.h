// Two ends of a stream over loopback; and a stream that has to read before it can write, as TLS
// does.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/file_descriptor.h"
#include "common/net/byte_stream.h"

namespace espalier::net::test {

struct StreamPair {
  std::unique_ptr<ByteStream> one;
  std::unique_ptr<ByteStream> other;
};

inline StreamPair streamPair() {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  return {TcpStream::adopt(FileDescriptor(ends[0])), TcpStream::adopt(FileDescriptor(ends[1]))};
}

// Over TCP: `one` comes from that address, 127.0.0.N.
inline StreamPair tcpPair(const char* from) {
  const auto at = [](const char* host) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    REQUIRE(::inet_pton(AF_INET, host, &address.sin_addr) == 1);
    return address;
  };
  const FileDescriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to = at("127.0.0.1");
  socklen_t size = sizeof to;
  REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&to), size) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&to), &size) == 0);
  FileDescriptor one(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in own = at(from);
  REQUIRE(::bind(one.get(), reinterpret_cast<const sockaddr*>(&own), size) == 0);
  REQUIRE(::connect(one.get(), reinterpret_cast<const sockaddr*>(&to), size) == 0);
  FileDescriptor other(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  REQUIRE(static_cast<bool>(other));
  return {TcpStream::adopt(std::move(one)), TcpStream::adopt(std::move(other))};
}

// The bytes that can be read now.
inline std::string readNow(ByteStream& stream) {
  std::string all;
  std::array<std::byte, 4096> buffer;
  while (true) {
    const auto got = stream.read(buffer);
    if (got.state != IoResult::State::done) return all;
    all.append(reinterpret_cast<const char*>(buffer.data()), got.bytes);
  }
}

// Sends "?" first. Before the other end has sent "!", it accepts no byte of its owner and returns
// none. It returns one byte at a time and buffers the rest, so pending() matters.
class ShyStream final : public ByteStream {
 public:
  explicit ShyStream(std::unique_ptr<ByteStream> below) : below_(std::move(below)) {}

  IoResult write(std::string_view bytes, bool moreFollows) override {
    if (const auto agreed = agree(); agreed.state != IoResult::State::done) return agreed;
    return below_->write(bytes.substr(0, 1), moreFollows);
  }
  IoResult sendFile(int file, std::uint64_t offset, std::size_t bytes) override {
    if (const auto agreed = agree(); agreed.state != IoResult::State::done) return agreed;
    return below_->sendFile(file, offset, bytes);
  }
  IoResult endWriting() override { return below_->endWriting(); }
  int descriptor() const override { return below_->descriptor(); }

 private:
  IoResult readMore(std::span<std::byte> out) override {
    if (const auto agreed = agree(); agreed.state != IoResult::State::done) return agreed;
    if (decoded_.empty()) {
      std::array<std::byte, 64> buffer;
      const auto got = below_->read(buffer);
      if (got.state != IoResult::State::done) return got;
      decoded_.assign(reinterpret_cast<const char*>(buffer.data()), got.bytes);
    }
    out[0] = static_cast<std::byte>(decoded_[0]);
    decoded_.erase(0, 1);
    return {IoResult::State::done, 0, 1};
  }
  std::size_t buffered() const override { return decoded_.size(); }
  IoResult agree() {
    if (!asked_) {
      const auto put = below_->write("?", false);
      if (put.state != IoResult::State::done) return put;
      asked_ = true;
    }
    if (!agreed_) {
      std::array<std::byte, 1> answer;
      const auto got = below_->read(answer);
      if (got.state != IoResult::State::done) return got;
      CHECK(static_cast<char>(answer[0]) == '!');
      agreed_ = true;
    }
    return {IoResult::State::done, 0, 1};
  }

  std::unique_ptr<ByteStream> below_;
  std::string decoded_;
  bool asked_ = false;
  bool agreed_ = false;
};

}  // namespace espalier::net::test
