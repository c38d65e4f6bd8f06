// The URL of one etcd: http(s)://[USER:PASSWORD@]HOST[:PORT][/]. The port is 2379 unless given.
// User and password are percent-decoded, so that they may have any characters. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "common/base/endpoint.h"
#include "common/base/result.h"

namespace espalier::metaserver::etcd {

struct Url {
  bool isSecure = false;
  std::string user;  // empty: etcd asks for none
  std::string password;
  Endpoint at;

  bool operator==(const Url&) const = default;
  // Without user and password, for messages.
  std::string text() const;
};

// Errors have the code `usage`, and do not repeat a password.
Result<Url> parseUrl(std::string_view text);

}  // namespace espalier::metaserver::etcd
