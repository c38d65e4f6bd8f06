// SHA-256 of many independent blocks at once, as a hash tree needs it.
//
// Two backends give the same digests. Intel's multi-buffer library hashes up to 16 blocks at a
// time; it is used if it was found at build time and supports the processor. OpenSSL hashes one
// block after the other. The first call decides which is available. Unless the caller names a
// backend, a few blocks go to OpenSSL, which is faster for them.
//
// Thread-safe: each thread has its own state of the libraries, made at its first call and freed
// when the thread ends. No I/O. No function fails: callers pass no arguments that a backend
// refuses, and an OpenSSL without SHA-256 asserts. Cost: bench/hash.cpp, docs/performance.md.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "common/base/ids.h"

namespace espalier::crypto {

enum class HashBackend { openssl, multiBuffer };

// What this process uses: multiBuffer if it is available.
HashBackend hashBackend();
// Whether sha256Blocks() can be told to use it, as tests and benchmarks do; always true for
// openssl.
bool hashBackendWorks(HashBackend backend);
std::string_view hashBackendName(HashBackend backend);

// By OpenSSL.
Digest sha256(std::span<const std::byte> data);

// The digest of each block of `data`; the last block may be short. `out` has ceil(data.size() /
// blockBytes) elements.
void sha256Blocks(std::span<const std::byte> data, std::size_t blockBytes, std::span<Digest> out);
void sha256Blocks(HashBackend backend, std::span<const std::byte> data, std::size_t blockBytes,
                  std::span<Digest> out);

// The inner nodes of a tree: out[i] = SHA-256(nodes[2i] ‖ nodes[2i+1]). `nodes` has an even length,
// `out` half of it. `out` may be the first half of `nodes`.
void sha256Pairs(std::span<const Digest> nodes, std::span<Digest> out);

}  // namespace espalier::crypto
