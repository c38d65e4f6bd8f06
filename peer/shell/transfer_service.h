// Control over the transfers in progress. Thread rule: see search_service.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::peer::shell {

struct ActiveTransfer {
  enum class State { active, waiting, paused };
  std::uint64_t number = 0;  // of a download; 0: of another transfer
  std::string name;
  std::vector<PeerId> peers;  // the sources
  std::string to;             // the address of the peer that downloads from this one
  bool incoming = false;
  State state = State::active;
  std::uint32_t position = 0;  // in the holder's queue, if `waiting`: the lowest of all holders
  std::uint64_t doneBytes = 0;
  std::uint64_t totalBytes = 0;
  double bytesPerSecond = 0;
};

enum class TransferControl { pause, resume, cancel };

// Bytes a second; 0: no limit.
struct Rates {
  std::uint64_t upload = 0;
  std::uint64_t download = 0;
};

class TransferService {
 public:
  virtual ~TransferService() = default;

  // Pauses, resumes or cancels the downloads with these numbers, or all. Returns them as they are
  // then.
  virtual Result<std::vector<ActiveTransfer>> control(
      TransferControl what, const std::vector<std::uint64_t>& numbers) = 0;
  // Sets the rates that are given, each for all transfers together. Returns both rates.
  virtual Rates limit(std::optional<std::uint64_t> upload,
                      std::optional<std::uint64_t> download) = 0;
};

}  // namespace espalier::peer::shell
