// `topo --tree`: the network with line characters.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/command/tree_text.h"

using namespace espalier;
using namespace espalier::command;

namespace {

std::vector<NetworkPeer> peersOf(
    const std::vector<std::pair<const char*, std::vector<const char*>>>& lines) {
  std::vector<NetworkPeer> peers;
  for (const auto& [id, links] : lines) {
    NetworkPeer peer{*PeerId::parse(id), {}, {}};
    for (const auto* link : links) peer.links.push_back(*PeerId::parse(link));
    peers.push_back(std::move(peer));
  }
  return peers;
}

// s1, from which two lines of `length` peers each begin.
std::vector<NetworkPeer> armsOf(int length) {
  std::vector<NetworkPeer> peers;
  const auto idOf = [](int number) { return *PeerId::parse("s" + std::to_string(number)); };
  for (int i = 1; i <= 2 * length + 1; ++i) {
    NetworkPeer peer{idOf(i), {}, {}};
    for (const int other : {i == 2 ? 1 : i - 2, i == 1 ? 2 : i + 2}) {
      if (other >= 1 && other <= 2 * length + 1) peer.links.push_back(idOf(other));
    }
    if (i == 1) peer.links = {idOf(2), idOf(3)};
    peers.push_back(std::move(peer));
  }
  return peers;
}

}  // namespace

TEST_CASE("a tree is drawn from the peer that joined first, children in their order") {
  const auto peers = peersOf({{"s1", {"s2", "s3"}},
                              {"s2", {"s1", "s4"}},
                              {"s3", {"s1", "s5", "s6"}},
                              {"s4", {"s2"}},
                              {"s5", {"s3"}},
                              {"s6", {"s3"}}});
  CHECK(treeText(peers, 80) ==
        "s1\n"
        "├── s2 ── s4\n"
        "└── s3\n"
        "    ├── s5\n"
        "    └── s6\n");
}

TEST_CASE("a line that is too long goes on below") {
  CHECK(treeText(armsOf(5), 24) ==
        "s1\n"
        "├── s2 ── s4 ── s6 ──\n"
        "│   ── s8 ── s10\n"
        "└── s3 ── s5 ── s7 ──\n"
        "    ── s9 ── s11\n");
}

TEST_CASE("each part of a network is drawn, and missing ends and circles are left out") {
  const auto peers =
      peersOf({{"a", {"b", "gone"}}, {"b", {"a", "c"}}, {"c", {"b", "a"}}, {"d", {}}});
  CHECK(treeText(peers, 80) == "a ── b ── c\nd\n");
  CHECK(treeText({}, 80) == "");
}

TEST_CASE("names are escaped") {
  const auto peers = peersOf({{"a\\b", {}}});
  CHECK(treeText(peers, 80) == "a\\\\b\n");
}

TEST_CASE("a very deep tree is drawn in a bounded width, each peer once") {
  std::vector<NetworkPeer> peers;
  const auto idOf = [](int number) { return *PeerId::parse("s" + std::to_string(number)); };
  constexpr int kDepth = 5000;  // each has a leaf and the next one
  for (int i = 0; i < kDepth; ++i) {
    NetworkPeer peer{idOf(i), {}, {idOf(kDepth + i)}};
    if (i + 1 < kDepth) peer.links.push_back(idOf(i + 1));
    peers.push_back(std::move(peer));
  }
  for (int i = 0; i < kDepth; ++i) peers.push_back({idOf(kDepth + i), {}, {idOf(i)}});
  const auto text = treeText(peers, 80);
  CHECK(text.size() < 2 * kDepth * 200);
  CHECK(text.find("⋯ s") != std::string::npos);
  std::size_t names = 0;
  for (std::size_t at = text.find('s'); at != std::string::npos; at = text.find('s', at + 1))
    ++names;
  CHECK(names == 2 * kDepth);
}
