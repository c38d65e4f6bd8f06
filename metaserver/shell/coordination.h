// Who decides which metaserver of a cluster is the master: the metaservers themselves, or etcd. As
// a user names it: `--coordination builtin`, `--coordination etcd:URL[,URL…]`. Values and a pure
// function.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace espalier::metaserver::shell {

struct Coordination {
  // URLs of the members of one etcd cluster (metaserver/etcd/url.h), each once, as they were given:
  // they may have a password. Empty: built in.
  std::vector<std::string> etcd;

  bool operator==(const Coordination&) const = default;
  bool isBuiltIn() const { return etcd.empty(); }
  std::string_view engine() const { return isBuiltIn() ? "builtin" : "etcd"; }
};

// At most limits::kEtcdUrls URLs. Errors have the code `usage`, and do not repeat a password.
Result<Coordination> parseCoordination(std::string_view text);
// What is before all keys of a cluster in etcd: "/espalier/". Parts of letters, digits, '.', '_'
// and '-' between slashes; at most limits::kEtcdPrefixBytes. Errors have the code `usage`.
Result<std::string> parseEtcdPrefix(std::string_view text);

}  // namespace espalier::metaserver::shell
