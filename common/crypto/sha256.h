// SHA-256 of many independent blocks at once, which is what a hash tree needs. Two backends give
// the same digests: Intel's multi-buffer library, which works on up to 16 blocks side by side
// (where it was found at build time and the processor is one of its own), and OpenSSL, one block
// after the other. The first use decides which is there; short inputs always take the one that is
// faster for them.
//
// Thread-safe: each thread has its own manager and context, made on its first use and freed when it
// ends. No function fails: both backends only refuse what this file never hands them, and OpenSSL
// lacking SHA-256 asserts. Cost: see bench/hash.cpp.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "common/base/ids.h"

namespace espalier::crypto {

enum class HashBackend { openssl, multiBuffer };

// What this process uses: multiBuffer where it works.
HashBackend hashBackend();
// Whether it can be asked for by name, as tests and benchmarks do. openssl always can.
bool hashBackendWorks(HashBackend backend);
std::string_view hashBackendName(HashBackend backend);

Digest sha256(std::span<const std::byte> data);

// The digest of each block of `data`; the last one may be short. `out` has a place for each:
// ceil(data.size() / blockBytes), none for empty data.
void sha256Blocks(std::span<const std::byte> data, std::size_t blockBytes, std::span<Digest> out);
void sha256Blocks(HashBackend backend, std::span<const std::byte> data, std::size_t blockBytes,
                  std::span<Digest> out);

// The inner nodes of a tree: out[i] = SHA-256(nodes[2i] ‖ nodes[2i+1]). `nodes` is of even length,
// `out` of half that; `out` may be the first half of `nodes`.
void sha256Pairs(std::span<const Digest> nodes, std::span<Digest> out);

}  // namespace espalier::crypto
