// Who decides which metaserver of a cluster is the master: the metaservers themselves, or etcd. As
// a user names it: `--coordination builtin`, `--coordination etcd:URL[,URL…]`. Values and a pure
// function.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/result.h"

namespace espalier::metaserver::shell {

// http://HOST[:PORT] or https://HOST[:PORT]; a path is not used.
struct EtcdUrl {
  bool encrypted = false;  // https
  Endpoint endpoint;       // the port is 2379, etcd's own, where none is given

  bool operator==(const EtcdUrl&) const = default;
  std::string text() const;
};

struct Coordination {
  std::vector<EtcdUrl> etcd;  // members of one etcd cluster, each once; empty: built in

  bool operator==(const Coordination&) const = default;
  bool isBuiltIn() const { return etcd.empty(); }
  std::string_view engine() const { return isBuiltIn() ? "builtin" : "etcd"; }
};

// At most limits::kEtcdEndpoints URLs. Errors have the code `usage`.
Result<Coordination> parseCoordination(std::string_view text);

}  // namespace espalier::metaserver::shell
