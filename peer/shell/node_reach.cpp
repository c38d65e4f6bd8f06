// The part of Node that tells its user what stands between this peer and the others: a metaserver
// that is not there, a wrong announced host, a port that nobody can connect to. All on the loop's
// thread.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "common/base/text.h"
#include "peer/shell/node.h"

namespace espalier::peer::shell {

// Of an IP literal there is nothing to say beyond that; of a name, how far it led.
std::string Node::whyNoMetaserver(const std::string& why) const {
  const bool isName = !net::Address::fromEndpoint(options_.metaserver);
  return noMetaserverLine(options_.metaserver, isName ? why : "");
}

// Tells the user where the announced host is not the one that the metaserver sees connections come
// from, by any of its addresses. A name is looked up elsewhere.
void Node::compareSource(const std::string& source) {
  const auto seen = net::Address::fromEndpoint({source, 0});
  if (!seen || options_.advertise.empty()) return;
  const Endpoint announced{options_.advertise, 0};
  const auto compare = [seen = *seen, source, announced](const Result<net::Target>& target) {
    const auto is = [&](const net::Address& address) { return address.sameHost(seen); };
    if (target && std::any_of(target->addresses.begin(), target->addresses.end(), is)) return;
    const std::string why = target ? "" : fmt::format(" ({})", target.error().message);
    log::warning(
        "this peer announces itself at {}{}, but the metaserver sees it come from {}: where others "
        "cannot connect to {}, give another --advertise, or none",
        escaped(announced.host), why, source, escaped(announced.host));
  };
  network_.lookUp(announced, net::NamedBy::user, compare);
}

void Node::tellUnreachable(const std::string& why) {
  log::warning(
      "the metaserver cannot connect to this peer ({}): nor may the others, who will then fetch "
      "nothing from it; let connections in, or announce another address with --advertise",
      escaped(why));
}

}  // namespace espalier::peer::shell
