// Both directions of a transfer connection.
#include "common/wire/transfer.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::checkMessage(fuzz::view(data, size), wire::decodeTransferRequest);
  fuzz::checkMessage(fuzz::view(data, size), wire::decodeTransferAnswer);
  return 0;
}
