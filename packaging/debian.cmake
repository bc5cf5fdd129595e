# The Debian packages: a component each, put together by CPack (packaging/build-debs). What Debian wants
# beside the files is made here.
set(PLEX86_MAINTAINER "plex86 developers <plex86@packages.invalid>" CACHE STRING
    "Maintainer of the Debian packages")
set(packages plex86 plex86-guest plex86-dkms)
if(TARGET plex86-emulator)
  list(APPEND packages plex86-emulator)
endif()
set(packaging ${CMAKE_CURRENT_SOURCE_DIR})
set(made ${CMAKE_CURRENT_BINARY_DIR}/debian)

# Copyright, and the changelog in Debian's form.
set(licence LGPL-2.1+)
configure_file(copyright.in ${made}/copyright @ONLY)
set(licence GPL-2)
configure_file(copyright.in ${made}/copyright-gpl @ONLY)
configure_file(changelog.in ${made}/changelog @ONLY)
add_custom_command(OUTPUT ${made}/changelog.gz COMMAND gzip -9nk -f ${made}/changelog
                   DEPENDS ${made}/changelog VERBATIM)
add_custom_target(debian-changelog ALL DEPENDS ${made}/changelog.gz)
foreach(package ${packages})
  set(copyright ${made}/copyright)
  if(package STREQUAL plex86-emulator)
    set(copyright ${made}/copyright-gpl)
  endif()
  set(doc ${CMAKE_INSTALL_DATAROOTDIR}/doc/${package})
  install(FILES ${copyright} RENAME copyright DESTINATION ${doc} COMPONENT ${package})
  install(FILES ${made}/changelog.gz DESTINATION ${doc} COMPONENT ${package} EXCLUDE_FROM_ALL)
  if(EXISTS ${packaging}/${package}.lintian-overrides)
    install(FILES ${packaging}/${package}.lintian-overrides RENAME ${package}
            DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/lintian/overrides COMPONENT ${package} EXCLUDE_FROM_ALL)
  endif()
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT ${PLEX86_MAINTAINER})
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_COMPONENTS_ALL ${packages})
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
    WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

# plex86_package(NAME SECTION SUMMARY DESCRIPTION [ALL] [DEPENDS x] [RECOMMENDS x] [SUGGESTS x])
macro(plex86_package name section summary description)
  cmake_parse_arguments(arg ALL "DEPENDS;RECOMMENDS;SUGGESTS" "" ${ARGN})
  string(TOUPPER ${name} key)
  set(CPACK_DEBIAN_${key}_PACKAGE_NAME ${name})
  set(CPACK_DEBIAN_${key}_PACKAGE_SECTION ${section})
  set(CPACK_DEBIAN_${key}_DESCRIPTION "${summary}\n${description}")
  set(CPACK_DEBIAN_${key}_PACKAGE_DEPENDS "${arg_DEPENDS}")
  set(CPACK_DEBIAN_${key}_PACKAGE_RECOMMENDS "${arg_RECOMMENDS}")
  set(CPACK_DEBIAN_${key}_PACKAGE_SUGGESTS "${arg_SUGGESTS}")
  if(arg_ALL)
    set(CPACK_DEBIAN_${key}_PACKAGE_ARCHITECTURE all)
  else()
    set(CPACK_DEBIAN_${key}_PACKAGE_SHLIBDEPS ON)
  endif()
endmacro()

plex86_package(plex86 misc
  "run 32-bit x86 Linux as ordinary user-mode code"
  "plex86 runs a whole i386 Linux, kernel and all, in ordinary processes: no
VT-x or AMD-V, no kernel module, no root. The kernel is built to be friendly
to it (package plex86-guest); disks, networks, shared folders and consoles
are virtio devices."
  RECOMMENDS "plex86-guest" SUGGESTS "plex86-dkms, qemu-system-common, gdb, seabios")
plex86_package(plex86-guest misc
  "scripts that make kernels and images for plex86"
  "Builds guest kernels of Debian's kernel sources, without patching them, and
images of Debian for i386, as any user: plex86 calls the scripts for kernels
and images by name that are not there yet."
  ALL DEPENDS "bc, binutils, bison, bzip2, flex, gcc, libc6-dev, make, xz-utils"
  RECOMMENDS "plex86, debian-archive-keyring, e2fsprogs, fakeroot, mmdebstrap, uidmap")
plex86_package(plex86-dkms kernel
  "kernel module of plex86, as source for DKMS"
  "The same monitor in the host's kernel: plex86 run --kmod. It has been run in
test machines only, never on bare metal; plex86 does not need it."
  ALL DEPENDS "dkms" RECOMMENDS "linux-headers-amd64" SUGGESTS "plex86")
if(TARGET plex86-emulator)
  plex86_package(plex86-emulator misc
    "emulator for plex86, for kernels that were not built for it"
    "Runs what plex86 cannot run natively, through libunicorn: real mode, 16-bit
code and kernels as distributions have them."
    DEPENDS "plex86 (>= ${PROJECT_VERSION})")
endif()
configure_file(dkms-postinst.in ${made}/dkms/postinst @ONLY FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
               GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
configure_file(dkms-prerm.in ${made}/dkms/prerm @ONLY FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
               GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_PLEX86-DKMS_PACKAGE_CONTROL_EXTRA ${made}/dkms/postinst ${made}/dkms/prerm)
include(CPack)
