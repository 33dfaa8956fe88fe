// Every differentiable op.
#pragma once

#include "autograd/ops/attention.h"
#include "autograd/ops/channel_norm.h"
#include "autograd/ops/conv.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/norm.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/rnn.h"
#include "autograd/ops/segment.h"
#include "autograd/ops/sort.h"
#include "autograd/ops/view.h"
