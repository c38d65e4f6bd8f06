#include "topo/address_index.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <charconv>
#include <string_view>

namespace espalier::topo {

static_assert(AddressKey::kBits <= 255, "Vertex::bits is a byte");

namespace {

// Four decimal numbers of at most three digits each, as inet_pton reads them.
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
  std::size_t gap = 17;  // the position of "::"; 17: there is none
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

std::uint64_t bigEndian(const std::uint8_t* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | bytes[i];
  return value;
}

unsigned bitAt(const AddressKey& key, unsigned position) {
  if (position < 64) return key.high >> (63 - position) & 1u;
  if (position < 128) return key.low >> (127 - position) & 1u;
  return static_cast<unsigned>(key.port) >> (143 - position) & 1u;
}

unsigned sharedBits(const AddressKey& a, const AddressKey& b) {
  if (a.high != b.high) return static_cast<unsigned>(std::countl_zero(a.high ^ b.high));
  if (a.low != b.low) return 64 + static_cast<unsigned>(std::countl_zero(a.low ^ b.low));
  const auto ports = static_cast<std::uint16_t>(a.port ^ b.port);
  return 128 + static_cast<unsigned>(std::countl_zero(ports));
}

}  // namespace

AddressKey AddressKey::of(const Endpoint& endpoint) {
  std::array<std::uint8_t, 16> bytes{};
  AddressKey key;
  key.port = endpoint.port;
  std::string_view host = endpoint.host;
  host = host.substr(0, host.find('%'));  // fe80::1%eth0: the interface is not part of the address
  if (parseIpv4(host, bytes.data())) {
    key.family = Family::ipv4;
    key.high = bigEndian(bytes.data());
  } else if (parseIpv6(host, bytes.data())) {
    key.family = Family::ipv6;
    key.high = bigEndian(bytes.data());
    key.low = bigEndian(bytes.data() + 8);
    if (key.high == 0 && key.low >> 32 == 0xffff) {
      key.family = Family::ipv4;
      key.high = key.low << 32;
      key.low = 0;
    }
  }
  if (key.family != Family::ipv6) key.low = 0;
  if (key.family == Family::name) key.high = 0;
  return key;
}

unsigned sharedAddressBits(const AddressKey& a, const AddressKey& b) {
  if (a.family != b.family || a.family == AddressKey::Family::name) return 0;
  const unsigned all = a.family == AddressKey::Family::ipv4 ? 32 : AddressKey::kAddressBits;
  return std::min(sharedBits(a, b), all);
}

AddressIndex::Index AddressIndex::make(const AddressKey& key, unsigned bits, NodeIndex best) {
  Index index = static_cast<Index>(vertices_.size());
  if (free_.empty()) {
    vertices_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  vertices_[index] = {key, static_cast<std::uint8_t>(bits), key.port, best, {kNone, kNone}};
  return index;
}

// The vertices from the top towards `key`, as long as their bits agree with it. The last one may
// disagree.
AddressIndex::Path AddressIndex::walk(const AddressKey& key) const {
  Path path;
  Index at = tops_[static_cast<std::size_t>(key.family)];
  while (at != kNone) {
    path.steps[path.size++] = at;
    const Vertex& v = vertices_[at];
    if (isLeaf(at) || sharedBits(v.key, key) < v.bits) break;
    at = v.child[bitAt(key, v.bits)];
  }
  return path;
}

AddressIndex::Index& AddressIndex::slotOf(const Path& path, std::size_t position) {
  const AddressKey& key = vertices_[path.steps[position]].key;
  if (position == 0) return tops_[static_cast<std::size_t>(key.family)];
  Vertex& above = vertices_[path.steps[position - 1]];
  return above.child[bitAt(key, above.bits)];
}

bool AddressIndex::isBefore(Index a, Index b, const IsLess& isLess) const {
  const Vertex& one = vertices_[a];
  const Vertex& other = vertices_[b];
  if (one.bestPort != other.bestPort) return one.bestPort < other.bestPort;
  return isLess(one.best, other.best);
}

// The peers of one endpoint are a list, by id. Its head is the leaf.
void AddressIndex::insertIntoLeaf(Path& path, Index peer, const IsLess& isLess) {
  Index* at = &slotOf(path, path.size - 1);
  while (*at != kNone && isBefore(*at, peer, isLess)) at = &vertices_[*at].child[0];
  vertices_[peer].child[0] = *at;
  *at = peer;
}

void AddressIndex::insert(NodeIndex node, const Endpoint& endpoint, const IsLess& isLess) {
  const AddressKey key = AddressKey::of(endpoint);
  Path path = walk(key);
  const Index leaf = make(key, AddressKey::kBits, node);
  ++size_;
  if (path.size == 0) {
    tops_[static_cast<std::size_t>(key.family)] = leaf;
  } else if (vertices_[path.back()].key == key && isLeaf(path.back())) {
    insertIntoLeaf(path, leaf, isLess);
    --path.size;
  } else {
    // The last on the path disagrees: it and the leaf go below a new vertex with the shared bits.
    const Index other = path.back();
    const unsigned shared = sharedBits(vertices_[other].key, key);
    const Index fork = make(key, shared, vertices_[other].best);
    vertices_[fork].bestPort = vertices_[other].bestPort;
    vertices_[fork].child[bitAt(key, shared)] = leaf;
    vertices_[fork].child[1 - bitAt(key, shared)] = other;
    slotOf(path, path.size - 1) = fork;
    path.steps[path.size - 1] = fork;
  }
  while (path.size > 0 && isBefore(leaf, path.back(), isLess)) {
    vertices_[path.back()].best = node;
    vertices_[path.back()].bestPort = key.port;
    --path.size;
  }
}

// Removes the leaf at the end of the path. The other child of its parent takes the parent's place.
void AddressIndex::eraseFork(Path& path) {
  const Index leaf = path.back();
  free_.push_back(leaf);
  if (path.size == 1) {
    slotOf(path, 0) = kNone;
    path.size = 0;
    return;
  }
  const Vertex& fork = vertices_[path.steps[path.size - 2]];
  const Index heir = fork.child[1 - bitAt(vertices_[leaf].key, fork.bits)];
  slotOf(path, path.size - 2) = heir;
  free_.push_back(path.steps[path.size - 2]);
  path.size -= 2;
}

void AddressIndex::erase(NodeIndex node, const Endpoint& endpoint, const IsLess& isLess) {
  const AddressKey key = AddressKey::of(endpoint);
  Path path = walk(key);
  assert(path.size > 0 && vertices_[path.back()].key == key);
  --size_;
  if (vertices_[path.back()].child[0] == kNone) {
    assert(vertices_[path.back()].best == node);
    eraseFork(path);
  } else {
    Index* at = &slotOf(path, path.size - 1);
    while (vertices_[*at].best != node) at = &vertices_[*at].child[0];
    const Index gone = *at;
    *at = vertices_[gone].child[0];
    free_.push_back(gone);
    --path.size;
  }
  while (path.size > 0 && vertices_[path.back()].best == node) {
    Vertex& v = vertices_[path.back()];
    const Index first = isBefore(v.child[0], v.child[1], isLess) ? v.child[0] : v.child[1];
    v.best = vertices_[first].best;
    v.bestPort = vertices_[first].bestPort;
    --path.size;
  }
}

std::optional<NodeIndex> AddressIndex::nearest(const Endpoint& newcomer,
                                               const IsLess& isLess) const {
  if (size_ == 0) return std::nullopt;
  const AddressKey key = AddressKey::of(newcomer);
  if (key.family != AddressKey::Family::name) {
    Index at = tops_[static_cast<std::size_t>(key.family)];
    while (at != kNone) {
      const Vertex& v = vertices_[at];
      const unsigned shared = sharedAddressBits(v.key, key);
      const bool isOneAddress = v.bits >= AddressKey::kAddressBits;
      if (isOneAddress || shared < v.bits) {
        if (shared == 0) break;  // then all are equally far
        return v.best;
      }
      at = v.child[bitAt(key, v.bits)];
    }
  }
  Index best = kNone;
  for (const Index top : tops_) {
    if (top != kNone && (best == kNone || isBefore(top, best, isLess))) best = top;
  }
  return vertices_[best].best;
}

}  // namespace espalier::topo
