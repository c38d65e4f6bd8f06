// Who may use the page: one-time secrets, which stand in links, and the tokens that they are
// exchanged for.
//
//   newSecret() --exchange(), once, within limits::kWebSecretLife--> token: mayUse()
//        |                                                             |
//        +--too old, or the oldest of too many--> gone <--the oldest of too many
//
// Both are 256 bits of the kernel's, in hexadecimal digits. Comparisons take as long for a wrong
// one as for the right one, whatever both have in common.
//
// Not thread-safe: its owner, the server, guards it. No I/O; `now` is handed in. Each call costs at
// most limits::kWebSecrets + limits::kWebTokens comparisons.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"

namespace espalier::web {

class Admissions {
 public:
  std::string newSecret(TimePoint now);
  // The token; nothing: the secret is wrong, was used, or is too old.
  std::optional<std::string> exchange(std::string_view secret, TimePoint now);
  bool mayUse(std::string_view token) const;

 private:
  struct Secret {
    std::string text;
    TimePoint until;
  };

  std::deque<Secret> secrets_;
  std::deque<std::string> tokens_;
};

}  // namespace espalier::web
