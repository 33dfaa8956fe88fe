# Installation: library, headers, command and a CMake package, so that find_package(heed) works.
include(CMakePackageConfigHelpers)

install(TARGETS heed heed_c heed_warnings EXPORT heedTargets)
install(FILES recipes/engine/c/heed.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET heed_command)
  install(TARGETS heed_command)
endif()
foreach(folder core kernels autograd nn optim distributed data recipes)
  install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/heed
          FILES_MATCHING PATTERN "*.h")
endforeach()
install(DIRECTORY recipes/ DESTINATION ${CMAKE_INSTALL_DATADIR}/heed/recipes
        FILES_MATCHING PATTERN "*.yaml" PATTERN "engine" EXCLUDE)
install(EXPORT heedTargets NAMESPACE heed:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/heed)
configure_package_config_file(cmake/heedConfig.cmake.in ${PROJECT_BINARY_DIR}/heedConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/heed)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/heedConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/heedConfig.cmake ${PROJECT_BINARY_DIR}/heedConfigVersion.cmake
              cmake/Findutf8proc.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/heed)
