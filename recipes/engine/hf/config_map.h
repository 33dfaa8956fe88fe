// config.json to a recipe's `model` and back, by a family's table.
#pragma once

#include <string>

#include "recipes/engine/hf/family.h"

namespace heed::recipes::hf {

/// The family of a config.json; a RequestError that lists the known ones for any other.
const Family& family_of(const Config& config);
/// The class that config.json names; the family's first where it names none.
const Architecture& architecture_of(const Family& family, const Config& config);

/// The whole `model` section that the config means. A RequestError names a key, with its place,
/// whose value heed cannot do, and one that the table does not have: it might change what the
/// model computes.
Config read_model(const Family& family, const Config& config);

/// The config.json of a whole `model` section, without what no model needs (dtype, labels).
Config write_config(const Family& family, const Config& model);
/// The class with the model's heads.
const Architecture* architecture_for(const Family& family, const Config& model);

/// What a model computes when it is used: its options without those for training alone (dropout,
/// initial values), with every default, and attention layer by layer. Equal ones have weights of
/// the same names and shapes, and equal results from them.
Config meaning_of(const Config& model);

/// Whether the family has such models: whether `model` comes back from its config.json with the
/// same meaning.
bool expresses(const Family& family, const Config& model);

}  // namespace heed::recipes::hf
