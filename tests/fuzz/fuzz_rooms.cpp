// Messages of rooms. The first byte chooses the family.
#include "common/wire/rooms_codec.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto payload = fuzz::view(data, size);
  switch (fuzz::takeByte(payload) % 5) {
    case 0:
      fuzz::checkMessage(payload, wire::decodeRoomRequest);
      break;
    case 1:
      fuzz::checkMessage(payload, wire::decodeRoomReply);
      break;
    case 2:
      fuzz::checkMessage(payload, wire::decodeRoomPassed);
      break;
    case 3:
      fuzz::checkMessage(payload, wire::decodeRoomAnswer);
      break;
    default:
      fuzz::checkMessage(payload, wire::decodeRoomServerMessage);
  }
  return 0;
}
