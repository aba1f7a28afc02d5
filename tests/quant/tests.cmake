slm_test(quant_test
  SOURCES quant/amx_emulator.cc quant/amx_test.cc quant/dequantize_test.cc quant/gptq_test.cc quant/lines_ahead_test.cc
          quant/matmul_integer_test.cc
          quant/qgemm_test.cc quant/quantize_test.cc
          quant/round_together_test.cc
  LINKS slm_quant)

# Figures, not checks: prints GB/s and GOPS of each SIMD target.
if(benchmark_FOUND)
  add_executable(kernel_benchmark quant/qgemm_benchmark.cc)
  target_link_libraries(kernel_benchmark PRIVATE slm_kernels slm_quant
    benchmark::benchmark)
  slm_warnings(kernel_benchmark)
endif()
