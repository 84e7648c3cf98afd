# What users install: the manual, completions, packages, archives.  docs/RELEASING.md says how a release is made.
#
#	make install PREFIX= DESTDIR=	the program, its manual, completions and documents
#	make deb	a package for Debian 12 and later, in $(OBJDIR)/deb (OBJDIR's own parts are built anew there)
#	make rpm	one for RPM, in $(OBJDIR)/rpm
#	make dist	the source, static programs for amd64 and arm64, their hashes and bills of materials, in $(OBJDIR)/dist
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/grf-rsp
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR ?= $(PREFIX)/share/zsh/site-functions
FISHCOMPDIR ?= $(PREFIX)/share/fish/vendor_completions.d

# Run where these are made; for another architecture, one of this machine's own.
HOST_GRF ?= $(OBJDIR)/grf-rsp

MANUAL := $(OBJDIR)/packaging/grf-rsp.1
COMPLETIONS := $(patsubst %,$(OBJDIR)/packaging/grf-rsp.%,bash zsh fish)

$(MANUAL) $(COMPLETIONS): $(OBJDIR)/packaging/%: packaging/% packaging/options.awk packaging/fill.sh $(HOST_GRF)
	$(call say,FILL)
	$(Q)mkdir -p $(@D) && sh packaging/fill.sh $(HOST_GRF) $(patsubst .%,%,$(patsubst .1,.mdoc,$(suffix $@))) $< >$@.tmp && mv $@.tmp $@

manual: $(MANUAL) $(COMPLETIONS)

install: all manual
	$(call say,INST)
	$(Q)install -D -m 755 $(OBJDIR)/grf-rsp $(DESTDIR)$(PREFIX)/bin/grf-rsp
	$(Q)install -D -m 644 $(OBJDIR)/packaging/grf-rsp.1 $(DESTDIR)$(MANDIR)/man1/grf-rsp.1
	$(Q)install -D -m 644 $(OBJDIR)/packaging/grf-rsp.bash $(DESTDIR)$(BASHCOMPDIR)/grf-rsp
	$(Q)install -D -m 644 $(OBJDIR)/packaging/grf-rsp.zsh $(DESTDIR)$(ZSHCOMPDIR)/_grf-rsp
	$(Q)install -D -m 644 $(OBJDIR)/packaging/grf-rsp.fish $(DESTDIR)$(FISHCOMPDIR)/grf-rsp.fish
	$(Q)install -d $(DESTDIR)$(DOCDIR)/docs
	$(Q)install -m 644 README.md CHANGELOG.md $(DESTDIR)$(DOCDIR)
	$(Q)install -m 644 $(wildcard docs/*.md docs/*.png docs/*.json) $(DESTDIR)$(DOCDIR)/docs

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/grf-rsp $(DESTDIR)$(MANDIR)/man1/grf-rsp.1 $(DESTDIR)$(BASHCOMPDIR)/grf-rsp \
		$(DESTDIR)$(ZSHCOMPDIR)/_grf-rsp $(DESTDIR)$(FISHCOMPDIR)/grf-rsp.fish
	rm -rf $(DESTDIR)$(DOCDIR)

# What packages are made of is what git has, not what lies about.
SOURCE := grf-rsp-$(VERSION)

$(OBJDIR)/dist/$(SOURCE).tar.gz: $(OBJDIR)/commit-$(COMMIT)
	$(call say,TAR)
	$(Q)mkdir -p $(@D) && git archive --format=tar --prefix=$(SOURCE)/ HEAD | gzip -9n >$@.tmp && mv $@.tmp $@

# A script makes with other options than we, and all of it at the time of the last change.
PACK := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u OBJDIR -u CFLAGS \
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(sh packaging/epoch.sh)} sh

deb: $(OBJDIR)/dist/$(SOURCE).tar.gz
	$(call say,DEB)
	$(Q)$(PACK) packaging/deb.sh $(VERSION) $< $(OBJDIR)/deb

rpm: $(OBJDIR)/dist/$(SOURCE).tar.gz
	$(call say,RPM)
	$(Q)$(PACK) packaging/rpm.sh $(VERSION) $< $(OBJDIR)/rpm

dist: $(OBJDIR)/dist/$(SOURCE).tar.gz
	$(Q)$(PACK) packaging/dist.sh $(VERSION) $< $(OBJDIR)/dist

.PHONY: manual install uninstall deb rpm dist
