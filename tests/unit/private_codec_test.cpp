#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <string>

#include "common/base/limits.h"
#include "common/crypto/instance.h"
#include "common/wire/private_codec.h"
#include "common/wire/registry_codec.h"
#include "private.pb.h"
#include "tests/unit/wire_generators.h"

using namespace espalier;
using namespace espalier::test;
using namespace espalier::wire;
using namespace std::chrono_literals;

namespace {

PrivateFrame someFrame() {
  switch (numberOf(0, 4)) {
    case 0: {
      PrivateIntroduction introduction{someId(), rawOf<InstanceHash>(), rawOf<InstanceHash>(),
                                       numberOf<std::uint64_t>(1, ~0ull)};
      introduction.instance.bytes[0] |= 1;
      introduction.to.bytes[0] |= 1;
      return introduction;
    }
    case 1:
      return PrivateReady{numberOf<std::uint64_t>(0, limits::kSequenceNumbers - 1)};
    case 2:
      return PrivateMessage{numberOf<std::uint64_t>(1, limits::kSequenceNumbers - 1),
                            std::chrono::milliseconds(numberOf<std::int64_t>(0, 1'795'000'000'000)),
                            textOf(1, limits::kPrivateTextBytes)};
    case 3:
      return PrivateStored{numberOf<std::uint64_t>(1, limits::kSequenceNumbers - 1)};
    default:
      return PrivateRefusal{static_cast<PrivateRefusal::Reason>(numberOf(1, 4)),
                            textOf(0, limits::kMessageBytes)};
  }
}

bool messageDecodes(std::uint64_t number, std::uint64_t at, const std::string& text) {
  proto::PrivateFrame frame;
  frame.mutable_message()->set_number(number);
  frame.mutable_message()->set_at_ms(at);
  frame.mutable_message()->set_text(text);
  return decodePrivate(frame.SerializeAsString()).ok();
}

}  // namespace

TEST_CASE("private messages read back as they were written") {
  rc::check([] {
    const auto frame = someFrame();
    const auto back = decodePrivate(encode(frame));
    RC_ASSERT(back.ok());
    RC_ASSERT(*back == frame);
  });
}

TEST_CASE("a private message has 1 to 4,096 bytes of UTF-8, a number and a possible time") {
  CHECK(messageDecodes(1, 0, "x"));
  CHECK(messageDecodes(1, 0, "\x1b[2J \xe2\x80\xae"));  // whoever shows it escapes it
  CHECK(messageDecodes(limits::kSequenceNumbers - 1, 253'402'300'799'999,
                       std::string(limits::kPrivateTextBytes, 'x')));
  CHECK_FALSE(messageDecodes(0, 0, "x"));
  CHECK_FALSE(messageDecodes(limits::kSequenceNumbers, 0, "x"));
  CHECK_FALSE(messageDecodes(1, 253'402'300'800'000, "x"));
  CHECK_FALSE(messageDecodes(1, 0, ""));
  CHECK_FALSE(messageDecodes(1, 0, std::string(limits::kPrivateTextBytes + 1, 'x')));
  CHECK_FALSE(messageDecodes(1, 0, "half a character: \xc3"));
}

TEST_CASE("an introduction names two instances and a stream") {
  const auto decodes = [](auto&& spoil) {
    proto::PrivateFrame frame;
    auto& introduction = *frame.mutable_introduction();
    introduction.set_from("s1");
    introduction.set_instance("instance of s1..");
    introduction.set_to("instance of s2..");
    introduction.set_stream(1);
    spoil(introduction);
    return decodePrivate(frame.SerializeAsString()).ok();
  };
  using Introduction = proto::PrivateIntroduction;
  CHECK(decodes([](Introduction&) {}));
  CHECK_FALSE(decodes([](Introduction& one) { one.set_from("a:b"); }));
  CHECK_FALSE(decodes([](Introduction& one) { one.clear_instance(); }));
  CHECK_FALSE(decodes([](Introduction& one) { one.set_to(std::string(16, '\0')); }));
  CHECK_FALSE(decodes([](Introduction& one) { one.set_to("short"); }));
  CHECK_FALSE(decodes([](Introduction& one) { one.clear_stream(); }));
}

TEST_CASE("a refusal for a reason of a later version means: not now") {
  proto::PrivateFrame frame;
  frame.mutable_refusal()->set_reason(99);
  const auto refusal = decodePrivate(frame.SerializeAsString());
  REQUIRE(refusal.ok());
  CHECK(std::get<PrivateRefusal>(*refusal).reason == PrivateRefusal::Reason::notNow);
}

TEST_CASE("an instance is the beginning of the key's SHA-256, and a Join with another is refused") {
  Join join;
  join.id = *PeerId::parse("s4");
  join.key = *InstanceKey::fromRaw("a key of 16 byte");
  join.instance = crypto::instanceOf(join.key);
  CHECK(toHex(join.instance.view()) == "a4a5e92c71c0c9508bfc29eb4ea8feac");
  CHECK(decodeRegistryRequest(encode(RegistryRequest(join))).ok());
  join.instance.bytes[3] ^= 1;
  CHECK_FALSE(decodeRegistryRequest(encode(RegistryRequest(join))).ok());
  join.instance = {};
  CHECK(decodeRegistryRequest(encode(RegistryRequest(join))).ok());
}
