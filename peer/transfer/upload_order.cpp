#include "peer/transfer/upload_order.h"

#include <algorithm>

namespace espalier::transfer {

void UploadOrder::Turns::push(Key asker, const Payer& payer) {
  const auto lane = std::find_if(lanes.begin(), lanes.end(),
                                 [&](const Lane& each) { return each.payer == payer; });
  if (lane == lanes.end()) {
    lanes.push_back({payer, {asker}});
  } else {
    lane->askers.push_back(asker);
  }
  ++size;
}

UploadOrder::Key UploadOrder::Turns::pop() {
  Lane& lane = lanes.front();
  const Key asker = lane.askers.front();
  lane.askers.pop_front();
  if (lane.askers.empty()) {
    lanes.pop_front();
  } else {
    lanes.splice(lanes.end(), lanes, lanes.begin());
  }
  --size;
  return asker;
}

void UploadOrder::Turns::remove(Key asker) {
  for (auto lane = lanes.begin(); lane != lanes.end(); ++lane) {
    if (std::erase(lane->askers, asker) == 0) continue;
    --size;
    if (lane->askers.empty()) lanes.erase(lane);
    return;
  }
}

void UploadOrder::Turns::list(std::vector<Key>& out) const {
  const std::size_t whole = out.size() + size;
  for (std::size_t row = 0; out.size() < whole; ++row) {
    for (const auto& lane : lanes) {
      if (row < lane.askers.size()) out.push_back(lane.askers[row]);
    }
  }
}

void UploadOrder::push(Key asker, const Payer& payer, bool first) {
  (first ? first_ : old_).push(asker, payer);
}

std::optional<UploadOrder::Key> UploadOrder::pop() {
  if (empty()) return std::nullopt;
  const bool isFirst = first_.size > 0 && (old_.size == 0 || firstInRow_ + 1 < kOldAfter);
  firstInRow_ = isFirst ? firstInRow_ + 1 : 0;
  return (isFirst ? first_ : old_).pop();
}

void UploadOrder::remove(Key asker) {
  first_.remove(asker);
  old_.remove(asker);
}

std::vector<UploadOrder::Key> UploadOrder::list() const {
  std::vector<Key> all;
  first_.list(all);
  old_.list(all);
  return all;
}

}  // namespace espalier::transfer
