// The one name for file system paths and their operations. boost:: and std::filesystem do not
// convert into each other, so everybody takes this one. Use the overloads with an error_code: the
// others throw.
#pragma once

#ifndef BOOST_FILESYSTEM_NO_DEPRECATED
#define BOOST_FILESYSTEM_NO_DEPRECATED
#endif
#include <boost/filesystem.hpp>

namespace espalier {

namespace fs = boost::filesystem;

}  // namespace espalier
