#include "topo/address_index.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <charconv>
#include <cstring>
#include <string_view>

namespace espalier::topo {
namespace {

// Four numbers of at most three digits; more than inet_pton accepts nowhere.
bool parseIpv4(std::string_view text, std::uint8_t* bytes) {
  for (int i = 0; i < 4; ++i) {
    const std::size_t digits = std::min(text.find('.'), text.size());
    if (digits == 0 || digits > 3 || (digits > 1 && text[0] == '0')) return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, bytes[i]);
    if (error != std::errc() || end != text.data() + digits) return false;
    text.remove_prefix(digits);
    if (i == 3) return text.empty();
    if (text.empty()) return false;
    text.remove_prefix(1);
  }
  return false;
}

// RFC 4291, section 2.2: groups of hexadecimal digits, one "::" for zeros, an IPv4 address as the
// last two groups.
bool parseIpv6(std::string_view text, std::uint8_t* bytes) {
  std::array<std::uint8_t, 16> found{};
  std::size_t size = 0;
  std::size_t gap = 17;  // where the "::" stands, if there is one
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    const std::size_t length = std::min(text.find(':'), text.size());
    const std::string_view group = text.substr(0, length);
    if (group.find('.') != std::string_view::npos) {
      if (size > 12 || length != text.size() || !parseIpv4(group, &found[size])) return false;
      size += 4;
      break;
    }
    std::uint16_t value = 0;
    const auto [end, error] = std::from_chars(group.data(), group.data() + length, value, 16);
    if (size > 14 || length == 0 || length > 4 || error != std::errc() ||
        end != group.data() + length) {
      return false;
    }
    found[size++] = static_cast<std::uint8_t>(value >> 8);
    found[size++] = static_cast<std::uint8_t>(value & 255);
    text.remove_prefix(length);
    if (text.starts_with("::")) {
      if (gap <= 16) return false;
      gap = size;
      text.remove_prefix(2);
    } else if (!text.empty()) {
      text.remove_prefix(1);
      if (text.empty()) return false;
    }
  }
  if (gap > 16 ? size != 16 : size > 14) return false;
  const std::size_t front = std::min(gap, size);
  std::fill(bytes, bytes + 16, std::uint8_t{0});
  std::copy_n(found.begin(), front, bytes);
  std::copy(found.begin() + static_cast<std::ptrdiff_t>(front),
            found.begin() + static_cast<std::ptrdiff_t>(size), bytes + 16 - (size - front));
  return true;
}

unsigned bitAt(const AddressKey& key, unsigned position) {
  return key.bits[position / 8] >> (7 - position % 8) & 1u;
}

unsigned sharedBits(const AddressKey& a, const AddressKey& b) {
  for (unsigned i = 0; i < a.bits.size(); ++i) {
    const auto difference = static_cast<std::uint8_t>(a.bits[i] ^ b.bits[i]);
    if (difference != 0) return i * 8 + static_cast<unsigned>(std::countl_zero(difference));
  }
  return AddressKey::kBits;
}

}  // namespace

AddressKey AddressKey::of(const Endpoint& endpoint) {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255};
  AddressKey key;
  std::string_view host = endpoint.host;
  host = host.substr(0, host.find('%'));  // fe80::1%eth0: the interface is not part of the address
  if (parseIpv4(host, key.bits.data())) {
    key.family = Family::ipv4;
  } else if (parseIpv6(host, key.bits.data())) {
    key.family = Family::ipv6;
    if (std::equal(kMapped.begin(), kMapped.end(), key.bits.begin())) {
      key.family = Family::ipv4;
      std::copy_n(key.bits.begin() + 12, 4, key.bits.begin());
      std::fill(key.bits.begin() + 4, key.bits.end(), std::uint8_t{0});
    }
  } else {
    key.bits = {};
  }
  key.bits[16] = static_cast<std::uint8_t>(endpoint.port >> 8);
  key.bits[17] = static_cast<std::uint8_t>(endpoint.port & 255);
  return key;
}

unsigned sharedAddressBits(const AddressKey& a, const AddressKey& b) {
  if (a.family != b.family || a.family == AddressKey::Family::name) return 0;
  const unsigned all = a.family == AddressKey::Family::ipv4 ? 32 : AddressKey::kAddressBits;
  return std::min(sharedBits(a, b), all);
}

AddressIndex::Index AddressIndex::make(const AddressKey& key, unsigned bits) {
  Index index = static_cast<Index>(vertices_.size());
  if (free_.empty()) {
    vertices_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  vertices_[index].key = key;
  vertices_[index].bits = bits;
  return index;
}

void AddressIndex::release(Index index) {
  vertices_[index] = Vertex();
  free_.push_back(index);
}

void AddressIndex::renewBest(Index index) {
  Vertex& v = vertices_[index];
  if (v.bits == AddressKey::kBits) {
    v.best = v.peers.front();
  } else {
    v.best = std::min(vertices_[v.child[0]].best, vertices_[v.child[1]].best);
  }
}

// From the top towards `key`, as long as vertices agree with it; the last may not.
std::vector<AddressIndex::Index> AddressIndex::walk(const AddressKey& key) const {
  std::vector<Index> path;
  Index at = tops_[static_cast<std::size_t>(key.family)];
  while (at != kNone) {
    path.push_back(at);
    const Vertex& v = vertices_[at];
    if (v.bits == AddressKey::kBits || sharedBits(v.key, key) < v.bits) break;
    at = v.child[bitAt(key, v.bits)];
  }
  return path;
}

void AddressIndex::insert(NodeIndex node, const PeerId& id, const Endpoint& endpoint) {
  const AddressKey key = AddressKey::of(endpoint);
  Index& top = tops_[static_cast<std::size_t>(key.family)];
  std::vector<Index> path = walk(key);
  const Candidate candidate{endpoint.port, id, node};
  ++size_;

  const bool isThere = !path.empty() && vertices_[path.back()].bits == AddressKey::kBits &&
                       vertices_[path.back()].key == key;
  if (isThere) {
    auto& peers = vertices_[path.back()].peers;
    peers.insert(std::lower_bound(peers.begin(), peers.end(), candidate), candidate);
  } else {
    const Index leaf = make(key, AddressKey::kBits);
    vertices_[leaf].peers.push_back(candidate);
    vertices_[leaf].best = candidate;
    if (path.empty()) {
      top = leaf;
    } else {
      // The last on the path disagrees: both go below a new vertex with what they share.
      const Index other = path.back();
      const unsigned shared = sharedBits(vertices_[other].key, key);
      const Index fork = make(key, shared);
      vertices_[fork].child[bitAt(key, shared)] = leaf;
      vertices_[fork].child[1 - bitAt(key, shared)] = other;
      path.back() = fork;
      if (path.size() == 1) {
        top = fork;
      } else {
        Vertex& above = vertices_[path[path.size() - 2]];
        above.child[bitAt(key, above.bits)] = fork;
      }
    }
  }
  std::for_each(path.rbegin(), path.rend(), [&](Index index) { renewBest(index); });
}

void AddressIndex::erase(NodeIndex node, const PeerId& id, const Endpoint& endpoint) {
  const AddressKey key = AddressKey::of(endpoint);
  std::vector<Index> path = walk(key);
  assert(!path.empty() && vertices_[path.back()].key == key);
  auto& peers = vertices_[path.back()].peers;
  const Candidate candidate{endpoint.port, id, node};
  peers.erase(std::lower_bound(peers.begin(), peers.end(), candidate));
  --size_;

  if (peers.empty()) {
    release(path.back());
    path.pop_back();
    Index heir = kNone;  // what takes the place of the fork above the leaf
    if (!path.empty()) {
      const Vertex& fork = vertices_[path.back()];
      heir = fork.child[1 - bitAt(key, fork.bits)];
      release(path.back());
      path.pop_back();
    }
    if (path.empty()) {
      tops_[static_cast<std::size_t>(key.family)] = heir;
    } else {
      Vertex& above = vertices_[path.back()];
      above.child[bitAt(key, above.bits)] = heir;
    }
  }
  std::for_each(path.rbegin(), path.rend(), [&](Index index) { renewBest(index); });
}

std::optional<NodeIndex> AddressIndex::nearest(const Endpoint& newcomer) const {
  if (size_ == 0) return std::nullopt;
  const AddressKey key = AddressKey::of(newcomer);
  if (key.family != AddressKey::Family::name) {
    Index at = tops_[static_cast<std::size_t>(key.family)];
    while (at != kNone) {
      const Vertex& v = vertices_[at];
      const unsigned shared = sharedAddressBits(v.key, key);
      const bool isOneAddress = v.bits >= AddressKey::kAddressBits;
      if (isOneAddress || shared < v.bits) {
        if (shared == 0) break;  // then all of the index are equally far
        return v.best.node;
      }
      at = v.child[bitAt(key, v.bits)];
    }
  }
  const Candidate* best = nullptr;
  for (const Index top : tops_) {
    if (top != kNone && (best == nullptr || vertices_[top].best < *best))
      best = &vertices_[top].best;
  }
  return best->node;
}

}  // namespace espalier::topo
