// What a holder did wrong, as an error. The caller adds which holder it was. Used by all that ask
// holders. Stateless; any thread.
#pragma once

#include <string_view>

#include "common/base/result.h"
#include "common/wire/transfer.h"

namespace espalier::transfer {

Error fromHolder(const wire::TransferFailure& failure);
// The file is not what it was when its root was computed.
Error changedThere();
// It broke the protocol: "sent {what}".
Error unexpected(std::string_view what);

}  // namespace espalier::transfer
