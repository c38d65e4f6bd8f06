// A contact, and who pays for what it causes: whoever named it. What one neighbour names fills only
// its own part of a table, and uses up only its own dials. A plain value.
#pragma once

#include "common/base/budget.h"
#include "common/wire/contact.h"

namespace espalier::peer {

struct NamedContact {
  wire::Contact contact;
  Account by = {};  // of no budget: this peer was linked to it
};

}  // namespace espalier::peer
