// The one name for file system paths and their operations: fs, which is Boost.Filesystem. Its paths
// and those of std::filesystem do not convert into each other, so the standard one is used nowhere
// (tests/tidy). Use the overloads with an error_code: the others throw.
#pragma once

#ifndef BOOST_FILESYSTEM_NO_DEPRECATED
#define BOOST_FILESYSTEM_NO_DEPRECATED
#endif
#include <boost/filesystem.hpp>

namespace espalier {

namespace fs = boost::filesystem;

// As fs::create_directories(), which in Boost 1.74 fails for "." and "..": returns whether it made
// any folder.
inline bool makeFolders(const fs::path& path, boost::system::error_code& failure) {
  const bool isThere = fs::is_directory(path, failure);
  failure.clear();
  return !isThere && fs::create_directories(path, failure);
}

}  // namespace espalier
