// Filters over the items of a value: sorted, chosen, mapped, summed.
#pragma once

#include "data/chat/value.h"

namespace heed::data::chat {

Value sorted(const Value& value, const Arguments& arguments);
Value dict_sorted(const Value& value, const Arguments& arguments);
/// select and reject (`keep` says which), selectattr and rejectattr (`by_member`).
Value chosen(const Value& value, const Arguments& arguments, bool keep, bool by_member);
Value mapped(const Value& value, const Arguments& arguments);
Value unique(const Value& value, const Arguments& arguments);
/// max (1) or min (-1).
Value extreme(const Value& value, int wanted);
Value sum(const Value& value, const Arguments& arguments);
Value reversed(const Value& value);
/// A member by a dotted path, as filters' `attribute` has it.
Value member(const Value& value, const Value& path);

}  // namespace heed::data::chat
