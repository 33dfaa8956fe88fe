// The definition of convolution, for f64 checks.
#pragma once

#include "kernels/conv/plan.h"

namespace heed::kernels {

void conv_forward_f64(const ConvPlan& plan, const double* x, const double* weight,
                      const double* bias, double* y);
void conv_input_gradient_f64(const ConvPlan& plan, const double* dy, const double* weight,
                             double* dx);
void conv_weight_gradient_f64(const ConvPlan& plan, const double* dy, const double* x, double* dw);

}  // namespace heed::kernels
