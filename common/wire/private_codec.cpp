#include "common/wire/private_codec.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/wire/contact_codec.h"
#include "private.pb.h"

namespace espalier::wire {
namespace {

static_assert(limits::kPrivateTextBytes + 64 < limits::kFrameBytes, "a message fits a frame");
static_assert(limits::kMessageBytes + 64 < limits::kFrameBytes, "a refusal fits a frame");

using std::chrono::milliseconds;

// --- out

void fill(const PrivateIntroduction& introduction, proto::PrivateFrame& frame) {
  auto& out = *frame.mutable_introduction();
  out.set_from(introduction.from.text());
  out.mutable_instance()->assign(introduction.instance.view());
  out.mutable_to()->assign(introduction.to.view());
  out.set_stream(introduction.stream);
}

void fill(const PrivateReady& ready, proto::PrivateFrame& frame) {
  frame.mutable_ready()->set_received(ready.received);
}

void fill(const PrivateMessage& message, proto::PrivateFrame& frame) {
  auto& out = *frame.mutable_message();
  out.set_number(message.number);
  out.set_at_ms(static_cast<std::uint64_t>(message.at.count()));
  out.set_text(message.text);
}

void fill(const PrivateStored& stored, proto::PrivateFrame& frame) {
  frame.mutable_stored()->set_number(stored.number);
}

void fill(const PrivateRefusal& refusal, proto::PrivateFrame& frame) {
  auto& out = *frame.mutable_refusal();
  out.set_reason(static_cast<std::uint32_t>(refusal.reason));
  out.set_message(std::string(cutUtf8(refusal.message, limits::kMessageBytes)));
}

// --- in

Result<InstanceHash> readInstance(std::string_view raw) {
  const auto instance = InstanceHash::fromRaw(raw);
  if (!instance || instance->isZero()) return malformed("no instance");
  return *instance;
}

Result<std::uint64_t> readNumber(std::uint64_t number, std::uint64_t least) {
  if (number < least || number >= limits::kSequenceNumbers) {
    return malformed(fmt::format("private message {}", number));
  }
  return number;
}

Result<PrivateFrame> read(const proto::PrivateIntroduction& in) {
  auto from = readPeerId(in.from());
  if (!from) return from.error();
  const auto instance = readInstance(in.instance());
  if (!instance) return instance.error();
  const auto to = readInstance(in.to());
  if (!to) return to.error();
  if (in.stream() == 0) return malformed("no stream of private messages");
  return PrivateFrame(PrivateIntroduction{*std::move(from), *instance, *to, in.stream()});
}

Result<PrivateFrame> read(const proto::PrivateMessage& in) {
  const auto number = readNumber(in.number(), 1);
  if (!number) return number.error();
  constexpr std::uint64_t kYear10000 = 253'402'300'800'000;
  if (in.at_ms() >= kYear10000) return malformed("a time that no calendar has");
  if (const auto text = checkPrivateText(in.text()); !text) return malformed(text.error().message);
  return PrivateFrame(
      PrivateMessage{*number, milliseconds(static_cast<milliseconds::rep>(in.at_ms())), in.text()});
}

Result<PrivateFrame> read(const proto::PrivateRefusal& in) {
  using Reason = PrivateRefusal::Reason;
  const bool isKnown = in.reason() >= 1 && in.reason() <= static_cast<unsigned>(Reason::notNow);
  return PrivateFrame(PrivateRefusal{isKnown ? static_cast<Reason>(in.reason()) : Reason::notNow,
                                     std::string(cutUtf8(in.message(), limits::kMessageBytes))});
}

}  // namespace

Result<void> checkPrivateText(std::string_view text) {
  if (text.empty()) return Error{ErrorCode::usage, "a message without text"};
  if (text.size() > limits::kPrivateTextBytes) {
    return Error{ErrorCode::usage, fmt::format("a message has at most {} bytes, this one has {}",
                                               limits::kPrivateTextBytes, text.size())};
  }
  if (!isUtf8(text)) return Error{ErrorCode::usage, "a message that is no UTF-8"};
  return {};
}

std::string encode(const PrivateFrame& frame) {
  proto::PrivateFrame out;
  std::visit([&](const auto& part) { fill(part, out); }, frame);
  return serialized(out);
}

Result<PrivateFrame> decodePrivate(std::string_view payload) {
  proto::PrivateFrame frame;
  if (!parse(payload, frame)) return malformed("no frame of private messages");
  switch (frame.kind_case()) {
    case proto::PrivateFrame::kIntroduction:
      return read(frame.introduction());
    case proto::PrivateFrame::kReady: {
      const auto received = readNumber(frame.ready().received(), 0);
      if (!received) return received.error();
      return PrivateFrame(PrivateReady{*received});
    }
    case proto::PrivateFrame::kMessage:
      return read(frame.message());
    case proto::PrivateFrame::kStored: {
      const auto number = readNumber(frame.stored().number(), 1);
      if (!number) return number.error();
      return PrivateFrame(PrivateStored{*number});
    }
    case proto::PrivateFrame::kRefusal:
      return read(frame.refusal());
    case proto::PrivateFrame::KIND_NOT_SET:
      break;
  }
  return malformed("of no kind that this version knows");
}

}  // namespace espalier::wire
