// Rows of a directory of members, short to write.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "metaserver/core/cluster/publication.h"
#include "metaserver/core/cluster/replica.h"

namespace espalier::metaserver::cluster {

inline constexpr Epoch kFirstEpoch{1, ServerNumber{7}};
inline constexpr Epoch kSecondEpoch{2, ServerNumber{3}};

inline PeerId named(std::string_view id) {
  return PeerId::parse(id).value();
}

// Member `order` of id "s<order>" on port 5000 + order, without links.
inline MemberRow row(std::uint64_t order) {
  MemberRow made;
  made.contact = {named(fmt::format("s{}", order)),
                  JoinOrder{order},
                  {"127.0.0.1", static_cast<std::uint16_t>(5000 + order % 50'000)}};
  made.key.bytes[0] = static_cast<std::uint8_t>(order);
  return made;
}

inline MemberRow row(std::uint64_t order, std::string_view id) {
  MemberRow made = row(order);
  made.contact.id = named(id);
  return made;
}

// A row of some 4,700 bytes: ten of them fill a page.
inline MemberRow largeRow(std::uint64_t order) {
  MemberRow made = row(order);
  made.contact.endpoint.host = std::string(limits::kHostBytes, 'h');
  for (unsigned i = 0; i < limits::kMaxLinks; ++i) {
    made.neighbours.push_back(named(fmt::format("{:0>64}", order * 100 + i)));
  }
  return made;
}

inline MemberChanges put(std::vector<SharedRow> rows) {
  return {false, {}, std::move(rows), false};
}
inline MemberChanges gone(std::vector<std::uint64_t> orders) {
  MemberChanges changes;
  for (const auto order : orders) changes.gone.push_back(JoinOrder{order});
  return changes;
}

inline std::vector<std::string> idsOf(const RegistryCopy& copy) {
  std::vector<std::string> ids;
  for (const auto& [order, row] : copy.rows()) ids.push_back(row->contact.id.text());
  return ids;
}
using Ids = std::vector<std::string>;

}  // namespace espalier::metaserver::cluster
