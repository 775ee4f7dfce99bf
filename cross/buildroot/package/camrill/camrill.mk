################################################################################
#
# camrill
#
################################################################################

CAMRILL_VERSION = 0.1.0
CAMRILL_SITE = $(call qstrip,$(BR2_PACKAGE_CAMRILL_SITE))
CAMRILL_LICENSE = MIT or Apache-2.0
CAMRILL_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
CAMRILL_INSTALL_STAGING = YES

CAMRILL_FEATURES = \
	$(if $(BR2_PACKAGE_CAMRILL_HTTP),http) \
	$(if $(BR2_PACKAGE_CAMRILL_PAGE),page) \
	$(if $(BR2_PACKAGE_CAMRILL_HLS),hls) \
	$(if $(BR2_PACKAGE_CAMRILL_DVR),dvr) \
	$(if $(BR2_PACKAGE_CAMRILL_TLS),tls)

# Rust would make no shared library for musl otherwise.
ifeq ($(BR2_TOOLCHAIN_USES_MUSL),y)
CAMRILL_CARGO_ENV = RUSTFLAGS="-Ctarget-feature=-crt-static -Clink-arg=-Wl,--allow-multiple-definition"
endif

# The library, and the C programs that come with it.
CAMRILL_MAKE = \
	$(TARGET_MAKE_ENV) $(TARGET_CONFIGURE_OPTS) $(PKG_CARGO_ENV) \
	$(CAMRILL_CARGO_ENV) $(MAKE) -C $(@D) \
	TARGET=$(RUSTC_TARGET_NAME) PREFIX=/usr \
	CARGO_FEATURES="--offline --locked --no-default-features --features=$(subst $(space),$(comma),$(strip $(CAMRILL_FEATURES)))"

define CAMRILL_BUILD_CMDS
	$(CAMRILL_MAKE) build
endef

define CAMRILL_INSTALL_STAGING_CMDS
	$(CAMRILL_MAKE) DESTDIR=$(STAGING_DIR) install
endef

define CAMRILL_INSTALL_TARGET_CMDS
	$(CAMRILL_MAKE) DESTDIR=$(TARGET_DIR) install
endef

$(eval $(cargo-package))
