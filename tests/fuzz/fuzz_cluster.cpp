// Messages between two metaservers.
#include <variant>

#include "common/base/limits.h"
#include "common/wire/cluster_codec.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;

namespace {

// A batch may be cut where it comes near to the bounds. No message is lost.
template <typename Batch>
void checkBatches(const wire::ClusterFrame& frame) {
  const auto* batch = std::get_if<Batch>(&frame.message);
  if (!batch) return;
  auto sequence = batch->sequence - batch->messages.size();
  for (const auto& payload : encodeBatches(*batch, frame.route)) {
    const auto part = wire::decodeCluster(payload);
    fuzz::require(part.ok() && std::holds_alternative<Batch>(part->message), "each part decodes");
    const auto& cut = std::get<Batch>(part->message);
    sequence += cut.messages.size();
    fuzz::require(cut.sequence == sequence, "each part has the sequence of its last message");
  }
  fuzz::require(sequence == batch->sequence, "the parts have all messages");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto payload = fuzz::view(data, size);
  fuzz::checkMessage(payload, wire::decodeCluster);
  if (const auto frame = wire::decodeCluster(payload)) {
    checkBatches<wire::SessionRequests>(*frame);
    checkBatches<wire::SessionAnswers>(*frame);
  }
  return 0;
}
