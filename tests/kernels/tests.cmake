slm_test(kernels_activation_test
  SOURCES kernels/activation_test.cc LINKS slm_kernels)
slm_test(kernels_gemm_test
  SOURCES kernels/convert_test.cc kernels/fixed_scales_test.cc
          kernels/gemm_test.cc
  LINKS slm_kernels)
slm_test(kernels_attention_test
  SOURCES kernels/attention_test.cc kernels/rotary_test.cc LINKS slm_kernels)
slm_test(kernels_machine_limits_test
  SOURCES kernels/machine_limits_test.cc LINKS slm_kernels)
slm_test(kernels_norm_softmax_test
  SOURCES kernels/norm_softmax_test.cc LINKS slm_kernels)
slm_test(kernels_topk_test
  SOURCES kernels/topk_test.cc LINKS slm_kernels)

# Figures, not checks.
if(benchmark_FOUND)
  add_executable(attention_benchmark kernels/attention_benchmark.cc)
  target_link_libraries(attention_benchmark PRIVATE slm_kernels
    benchmark::benchmark)
  slm_warnings(attention_benchmark)
endif()
