#include "common/wire/hello.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "hello.pb.h"

namespace espalier::wire {

std::string encode(const Hello& hello) {
  proto::Hello message;
  message.set_version_least(hello.versionLeast);
  message.set_version_most(hello.versionMost);
  message.set_purpose(static_cast<proto::Purpose>(hello.purpose));
  message.set_features(hello.features);
  return message.SerializeAsString();
}

Result<Hello> decodeHello(std::string_view payload) {
  proto::Hello message;
  if (!message.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Error{ErrorCode::protocol, "the first frame is no Hello"};
  }
  if (message.purpose() < proto::PURPOSE_REGISTRY || message.purpose() > proto::PURPOSE_PRIVATE) {
    return Error{ErrorCode::protocol, "the Hello does not say what the connection is for"};
  }
  if (message.version_least() > kVersionMost || message.version_most() < kVersionLeast) {
    return Error{
        ErrorCode::protocol,
        fmt::format("the other side speaks versions {} to {}, this one {} to {}",
                    message.version_least(), message.version_most(), kVersionLeast, kVersionMost)};
  }
  return Hello{message.version_least(), message.version_most(),
               static_cast<Purpose>(message.purpose()), message.features()};
}

Welcome welcomeFor(const Hello& hello, const NetworkId& network) {
  return {std::min(hello.versionMost, kVersionMost), 0, network};
}

std::string encode(const Welcome& welcome) {
  proto::Reply reply;
  reply.mutable_welcome()->set_version(welcome.version);
  reply.mutable_welcome()->set_features(welcome.features);
  if (!welcome.network.isZero())
    reply.mutable_welcome()->mutable_network()->assign(welcome.network.view());
  return reply.SerializeAsString();
}

std::string encode(const Failure& failure) {
  proto::Reply reply;
  reply.mutable_failure()->set_code(static_cast<unsigned>(failure.code));
  reply.mutable_failure()->set_message(
      std::string(cutUtf8(failure.message, limits::kMessageBytes)));
  return reply.SerializeAsString();
}

Result<Welcome> decodeWelcome(std::string_view payload) {
  proto::Reply reply;
  if (!reply.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Error{ErrorCode::protocol, "the answer to the Hello is no Reply"};
  }
  if (reply.has_failure()) {
    return Error{errorCodeFromWire(reply.failure().code()),
                 std::string(cutUtf8(reply.failure().message(), limits::kMessageBytes))};
  }
  if (!reply.has_welcome()) {
    return Error{ErrorCode::protocol, "the answer to the Hello is neither Welcome nor Failure"};
  }
  const auto version = reply.welcome().version();
  if (version < kVersionLeast || version > kVersionMost) {
    return Error{ErrorCode::protocol, fmt::format("the other side chose version {}", version)};
  }
  NetworkId network;
  if (const auto& raw = reply.welcome().network(); !raw.empty()) {
    const auto told = NetworkId::fromRaw(raw);
    if (!told) return Error{ErrorCode::protocol, "the Welcome has a network of the wrong length"};
    network = *told;
  }
  return Welcome{version, reply.welcome().features(), network};
}

}  // namespace espalier::wire
