# make            everything that is built: the hypervisor, the host checker, the tiny guests
# make run        the demo: Debian's Linux beside a tiny guest, consoles on this terminal
# make test       all tests; `make test-host` only those that need no emulator
# make bench      exit costs in counted instructions, and the time to the first guest
# Sources are found by room: a new .c or .asm file in a room is built, a new tests/host/test_*.c runs.

B := build
CC := gcc
NASM := nasm
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
# `make V=1` shows the commands.
ifndef V
.SILENT:
endif
.SECONDARY:

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wundef \
	-Wno-sign-conversion
FREESTANDING := -std=c17 -O2 -g -ffreestanding -nostdlib -mno-red-zone -mgeneral-regs-only -fno-pic -fno-pie \
	-mcmodel=kernel -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-strict-aliasing -ffunction-sections -fdata-sections
ZYDIS_DIR := $(B)/zydis
ZYDIS_DEFS := -DZYAN_NO_LIBC -DZYAN_CUSTOM_LIBC -DNDEBUG -DZYDIS_STATIC_BUILD -DZYCORE_STATIC_BUILD \
	-DZYDIS_DISABLE_FORMATTER -DZYDIS_DISABLE_ENCODER -DZYDIS_DISABLE_SEGMENT -DZYDIS_DISABLE_AVX512 \
	-DZYDIS_DISABLE_KNC -include hv/lib/zydis_libc.h
ZYDIS_INC := -isystem $(ZYDIS_DIR)/include
ZYDIS_SRC := Decoder DecoderData SharedData Register

HV_SRC := $(sort $(wildcard hv/*.c hv/*/*.c))
MACHINE_SRC := $(sort $(wildcard boot/*.c arch/x86_64/*.c arch/x86_64/*/*.c drivers/*.c))
ASM_SRC := $(sort $(wildcard boot/*.asm arch/x86_64/*.asm arch/x86_64/*/*.asm))

.PHONY: all
all: $(B)/mullion.elf $(B)/BOOTX64.EFI $(B)/mullion-config guests

# --- Zydis: fetched and verified once, see scripts/fetch-zydis -------------------------------------
$(ZYDIS_DIR)/.fetched: scripts/fetch-zydis
	scripts/fetch-zydis $(ZYDIS_DIR)
	touch $@
$(foreach f,$(ZYDIS_SRC),$(ZYDIS_DIR)/src/$(f).c): $(ZYDIS_DIR)/.fetched ;

# --- the hypervisor --------------------------------------------------------------------------------
OBJ := $(HV_SRC:%.c=$(B)/obj/%.o) $(MACHINE_SRC:%.c=$(B)/obj/%.o) $(ASM_SRC:%.asm=$(B)/obj/%.asm.o)
ZYDIS_OBJ := $(ZYDIS_SRC:%=$(B)/obj/zydis/%.o)

$(B)/mullion.elf: $(OBJ) $(ZYDIS_OBJ) linker.ld
	$(LD) -nostdlib -static -z max-page-size=4096 -z noexecstack --gc-sections --no-warn-rwx-segments \
		-T linker.ld -Map $(B)/mullion.map -o $@ $(OBJ) $(ZYDIS_OBJ)

$(B)/obj/%.o: %.c $(ZYDIS_DIR)/.fetched
	@mkdir -p $(@D)
	$(CC) $(FREESTANDING) $(WARN) -MMD -MP -I. -I$(B)/gen $(ZYDIS_DEFS) $(ZYDIS_INC) -c $< -o $@

$(B)/obj/zydis/%.o: $(ZYDIS_DIR)/src/%.c
	@mkdir -p $(@D)
	$(CC) $(FREESTANDING) -I. $(ZYDIS_DEFS) -I$(ZYDIS_DIR)/include -I$(ZYDIS_DIR)/src -c $< -o $@

$(B)/obj/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(NASM) -f elf64 -g -F dwarf -I. -I$(B)/gen/ -MD $(@:.o=.d) -MT $@ -o $@ $<

# --- the UEFI loader: boot/efi/ and the pure files that it shares with the hypervisor, on gnu-efi ------
# Position-independent, linked as gnu-efi wants it, then turned into a PE file.
EFI_CALL_FLAGS := -fshort-wchar -DGNU_EFI_USE_MS_ABI -isystem /usr/include/efi -isystem /usr/include/efi/x86_64
EFI_FLAGS := -std=c17 -O2 -g -ffreestanding -nostdlib -mno-red-zone -mgeneral-regs-only -fpic \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fno-strict-aliasing \
	-fvisibility=hidden $(EFI_CALL_FLAGS)
EFI_SRC := $(sort $(wildcard boot/efi/*.c)) $(filter-out hv/config_dump.c,$(wildcard hv/config*.c)) hv/refuse.c \
	hv/lib/printf.c hv/lib/string.c hv/load/elf.c hv/load/plan.c hv/addrspace.c
EFI_OBJ := $(EFI_SRC:%.c=$(B)/efi/%.o) $(B)/efi/boot/efi/enter.asm.o
EFI_LIB ?= /usr/lib

$(B)/efi/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(EFI_FLAGS) $(WARN) -MMD -MP -I. -c $< -o $@
$(B)/efi/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(NASM) -f elf64 -MD $(@:.o=.d) -MT $@ -o $@ $<
$(B)/efi/loader.so: $(EFI_OBJ)
	$(LD) -nostdlib -znocombreloc -shared -Bsymbolic -z noexecstack --no-undefined \
		-T $(EFI_LIB)/elf_x86_64_efi.lds -o $@ $(EFI_LIB)/crt0-efi-x86_64.o $(EFI_OBJ) -L$(EFI_LIB) -lgnuefi
$(B)/BOOTX64.EFI: $(B)/efi/loader.so
	objcopy -S -j .text -j .sdata -j .data -j .dynamic -j .dynsym -j '.rel*' -j '.rela*' -j .rodata -j .reloc \
		--target=efi-app-x86_64 --subsystem=10 $< $@

# --- generated ---------------------------------------------------------------------------------------
# The guests' DSDT as bytes that C and the host tests include.
$(B)/gen/dsdt.inc: hv/acpi/dsdt.asl
	@mkdir -p $(@D)
	iasl -p $(B)/gen/dsdt $< >$(B)/gen/iasl.log 2>&1 || { cat $(B)/gen/iasl.log; exit 1; }
	od -An -v -tu1 $(B)/gen/dsdt.aml | sed 's/[0-9][0-9]*/&,/g' >$@
$(B)/obj/hv/acpi/acpi_guest.o $(B)/host/hv/acpi/acpi_guest.o: $(B)/gen/dsdt.inc
# The screen's font.
$(B)/gen/font.inc: hv/console/font.txt scripts/mkfont
	@mkdir -p $(@D)
	scripts/mkfont $< >$@
$(B)/obj/hv/console/font.o $(B)/host/hv/console/font.o: $(B)/gen/font.inc

# --- host tests: hv/ and the pure files of boot/ and drivers/, unchanged, under ASan and UBSan ----------
HOST_FLAGS := -std=c17 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
# log.c stays out: tests link fake_log.c in its place, and test_log.c includes it.
PURE_SRC := $(filter-out hv/lib/string.c hv/console/log.c,$(HV_SRC)) boot/multiboot2.c boot/memory.c \
	$(addprefix boot/efi/,digests.c image.c options.c sha256.c tags.c) \
	boot/screen_check.c drivers/framebuffer.c scripts/reference.c \
	boot/console_pace.c boot/console_parse.c boot/warm_place.c drivers/acpi_serial.c drivers/uart16550.c drivers/acpi.c \
	drivers/acpi_fadt.c drivers/acpi_dmar.c \
	drivers/acpi_ivrs.c $(sort $(wildcard drivers/iommu.c drivers/vtd*.c drivers/amdvi*.c)) \
	drivers/rtc_epoch.c drivers/pci.c drivers/pci_bars.c drivers/pci_reset.c drivers/hpet.c
# The files of the UEFI loader that call the firmware, for test_efi_firmware's.
EFI_CALL_SRC := $(addprefix boot/efi/,files.c leave.c machine.c pages.c say.c)
FAKE_SRC := $(sort $(wildcard tests/fake/*.c))
HOST_OBJ := $(PURE_SRC:%.c=$(B)/host/%.o) $(EFI_CALL_SRC:%.c=$(B)/host/%.o) $(FAKE_SRC:%.c=$(B)/host/%.o) $(ZYDIS_SRC:%=$(B)/host/zydis/%.o)
TEST_SRC := $(sort $(wildcard tests/host/test_*.c))
TESTS := $(TEST_SRC:tests/host/%.c=$(B)/host/%)

$(B)/host/%.o: %.c $(ZYDIS_DIR)/.fetched
	@mkdir -p $(@D)
	$(CC) $(HOST_FLAGS) $(WARN) -MMD -MP -I. -I$(B)/gen $(ZYDIS_DEFS) $(ZYDIS_INC) -c $< -o $@
$(EFI_CALL_SRC:%.c=$(B)/host/%.o) $(B)/host/tests/host/test_efi_firmware.o: HOST_FLAGS += $(EFI_CALL_FLAGS)
$(B)/host/zydis/%.o: $(ZYDIS_DIR)/src/%.c
	@mkdir -p $(@D)
	$(CC) $(HOST_FLAGS) -I. $(ZYDIS_DEFS) -I$(ZYDIS_DIR)/include -I$(ZYDIS_DIR)/src -c $< -o $@
$(B)/host/libhv.a: $(HOST_OBJ)
	rm -f $@ && ar rcs $@ $^
$(B)/host/test_%: $(B)/host/tests/host/test_%.o $(B)/host/libhv.a
	$(CC) $(HOST_FLAGS) -o $@ $< $(B)/host/libhv.a

.PHONY: test-host
test-host: $(TESTS)
	@fail=0; for t in $(TESTS); do $$t || fail=1; done; exit $$fail

# --- fuzzing: `make fuzz-decode` builds the target and runs it for some seconds from a fixed seed ---------
FUZZ_FLAGS := -std=c17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I. -I$(B)/gen
FUZZ_HV := $(wildcard hv/emulate*.c) hv/gwalk.c hv/decode.c hv/addrspace.c hv/vcpu.c hv/refuse.c hv/lib/printf.c
FUZZ_FAKE := tests/fake/machine.c tests/fake/fake_simd.c tests/fake/fake_host.c
FUZZ_RUNS := 200000

$(B)/fuzz/fuzz_decode: tests/fuzz/fuzz_decode.c $(FUZZ_HV) $(FUZZ_FAKE) $(wildcard hv/*.h) $(ZYDIS_DIR)/.fetched
	@mkdir -p $(@D)
	clang $(FUZZ_FLAGS) $(ZYDIS_DEFS) -I$(ZYDIS_DIR)/include -I$(ZYDIS_DIR)/src -o $@ $(filter %.c,$^) \
		$(ZYDIS_SRC:%=$(ZYDIS_DIR)/src/%.c)

.PHONY: fuzz-decode
fuzz-decode: $(B)/fuzz/fuzz_decode
	@$< -seed=1 -runs=$(FUZZ_RUNS) -max_len=192 -len_control=0 -artifact_prefix=$(B)/fuzz/ \
		>$(B)/fuzz/decode.log 2>&1 || { tail -40 $(B)/fuzz/decode.log; exit 1; }
	@echo "$<: $(FUZZ_RUNS) inputs, no finding"

# --- the host checker ----------------------------------------------------------------------------------
CONFIG_SRC := $(sort $(wildcard hv/config*.c)) hv/refuse.c hv/lib/printf.c
TOOL_SRC := scripts/mullion-config.c scripts/devices.c scripts/reference.c hv/pci_text.c $(CONFIG_SRC)
$(B)/mullion-config: $(TOOL_SRC:%.c=$(B)/tool/%.o)
	$(CC) -o $@ $^
$(B)/tool/%.o: %.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 -g $(WARN) -MMD -MP -I. -c $< -o $@

# The reference in docs/ is made from the parser's own table; a test keeps it so.
docs/config.md: $(B)/mullion-config
	@mkdir -p $(@D)
	$(B)/mullion-config reference >$@

# Random input against what reads it: make fuzz-config, make fuzz-load [SECONDS=60]
SECONDS ?= 60
FUZZ_CC := clang -std=c17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I.
.PHONY: fuzz-config fuzz-load
fuzz-config: $(B)/fuzz_config
	@mkdir -p $(B)/fuzz/config
	$(B)/fuzz_config -max_total_time=$(SECONDS) -max_len=4096 -dict=tests/fuzz/config.dict -print_final_stats=1 \
		$(B)/fuzz/config tests/fuzz/config
fuzz-load: $(B)/fuzz_load
	@mkdir -p $(B)/fuzz/load
	$(B)/fuzz_load -max_total_time=$(SECONDS) -max_len=8192 -print_final_stats=1 $(B)/fuzz/load tests/fuzz/load
# The kept corpora alone, once: part of the tests.
.PHONY: fuzz-corpus
fuzz-corpus: $(B)/fuzz_config $(B)/fuzz_load
	@for f in config load; do $(B)/fuzz_$$f tests/fuzz/$$f/* 2>$(B)/fuzz_$$f.log || { cat $(B)/fuzz_$$f.log; exit 1; }; done
$(B)/fuzz_config: tests/fuzz/fuzz_config.c $(CONFIG_SRC) $(wildcard hv/config*.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) -o $@ $(filter %.c,$^)
LOAD_SRC := $(sort $(wildcard hv/load/*.c)) hv/addrspace.c hv/refuse.c hv/lib/printf.c boot/multiboot2.c $(wildcard drivers/acpi*.c)
$(B)/fuzz_load: tests/fuzz/fuzz_load.c $(LOAD_SRC) $(wildcard hv/load/*.h boot/boot_info.h drivers/acpi.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) -o $@ $(filter %.c,$^)

# --- the tiny guests: examples in guests/, payloads of the system tests in tests/guest/ --------------------
# NAME.c is a 64-bit guest in a 32-bit ELF file with a multiboot 1 header, NAME32.c a 32-bit guest,
# NAME.asm a flat image or whatever its own header says. All become build/guests/NAME.elf or .bin.
GUEST_FLAGS := -std=gnu17 -O2 -ffreestanding -nostdlib -fno-pic -fno-pie -fno-stack-protector -mno-red-zone \
	-mgeneral-regs-only -fno-asynchronous-unwind-tables -fcf-protection=none -Wall -Wextra -Werror -Iguests/lib
GUEST_LD := $(LD) -nostdlib -static -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments -T guests/lib/guest.ld
GUEST_SRC := $(sort $(wildcard guests/*/*.c tests/guest/*.c tests/bench/*.c))
GUEST_SRC := $(filter-out guests/lib/% guests/initramfs/%,$(GUEST_SRC))
GUEST_ASM := $(sort $(wildcard tests/guest/*.asm tests/bench/*.asm))
GUEST_LIB := $(sort $(wildcard guests/lib/*.c))
GUEST_OBJ64 := $(B)/guests/obj64/guests/lib/start.o $(GUEST_LIB:%.c=$(B)/guests/obj64/%.o)
GUEST_OBJ32 := $(B)/guests/obj32/guests/lib/start.o $(GUEST_LIB:%.c=$(B)/guests/obj32/%.o)
GUESTS := $(patsubst %.c,$(B)/guests/%.elf,$(notdir $(GUEST_SRC))) \
	$(patsubst %.asm,$(B)/guests/%.bin,$(notdir $(GUEST_ASM)))
vpath %.c $(sort $(dir $(GUEST_SRC)))
vpath %.asm tests/guest tests/bench
GUEST_PROBES := $(B)/guests/probe $(B)/guests/init32

.PHONY: guests
guests: $(GUESTS) $(GUEST_PROBES)

$(B)/guests/obj64/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_FLAGS) -MMD -MP -c $< -o $@
$(B)/guests/obj32/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_FLAGS) -m32 -MMD -MP -c $< -o $@
$(B)/guests/obj64/%.o: %.asm
	@mkdir -p $(@D)
	$(NASM) -f elf64 -DMODE=64 -MD $(@:.o=.d) -MT $@ -o $@ $<
$(B)/guests/obj32/%.o: %.asm
	@mkdir -p $(@D)
	$(NASM) -f elf32 -DMODE=32 -MD $(@:.o=.d) -MT $@ -o $@ $<
$(B)/guests/one64/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_FLAGS) -MMD -MP -c $< -o $@
$(B)/guests/one32/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_FLAGS) -m32 -MMD -MP -c $< -o $@

$(B)/guests/%32.elf: $(B)/guests/one32/%32.o $(GUEST_OBJ32) guests/lib/guest.ld
	$(GUEST_LD) -m elf_i386 -o $@ $< $(GUEST_OBJ32)
# With unsafe-identity DMA, RAM at low addresses is what firmware and loader have left.
$(B)/guests/edu.elf64: GUEST_LD := $(subst -T ,--defsym=GUEST_BASE=0x1000000 -T ,$(GUEST_LD))
# The same code as a 64-bit ELF file (NAME.elf64) and, for loaders that know none, as a 32-bit one.
$(B)/guests/%.elf64: $(B)/guests/one64/%.o $(GUEST_OBJ64) guests/lib/guest.ld
	$(GUEST_LD) -o $@ $< $(GUEST_OBJ64)
$(B)/guests/%.elf: $(B)/guests/%.elf64
	objcopy -O elf32-i386 $< $@
$(B)/guests/%.bin: %.asm
	@mkdir -p $(@D)
	$(NASM) -f bin -Itests/guest/ -MD $(@:.bin=.d) -MT $@ -o $@ $<

$(B)/guests/probe: guests/initramfs/probe.c
	@mkdir -p $(@D)
	$(CC) -std=c17 -Os -static -s -Wall -Wextra -Werror -Wl,--build-id=none -o $@ $<
$(B)/guests/init32: guests/initramfs/init32.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -O2,$(GUEST_FLAGS)) -Os -m32 -static -s -Wl,--build-id=none -o $@ $<

# --- the bench: what exits and the start cost (docs/performance.md) -------------------------------------------
# RECORD=1 keeps the table in docs/performance.md, BENCH="--rounds 0 0" skips the long loop.
.PHONY: bench
bench: $(B)/mullion.elf $(B)/mullion-config $(B)/guests/exits.elf $(B)/guests/first.bin
	tests/bench/bench.py $(if $(RECORD),--record docs/performance.md) $(BENCH)

# --- Linux guests: Debian's kernels, fetched by package ----------------------------------------------------
$(B)/linux/bzImage:
	scripts/fetch-linux $(B)/linux cloud
$(B)/linux/bzImage-generic $(B)/linux/modules-generic.tar &: guests/initramfs/modules
	scripts/fetch-linux $(B)/linux generic
$(B)/linux/bzImage-i386:
	scripts/fetch-linux $(B)/linux i386
$(B)/linux/busybox:
	scripts/fetch-linux $(B)/linux busybox
# The Makefile has a recipe's options: an image is never older than what made it.
INITRD := scripts/mkinitramfs --init guests/initramfs/init --busybox $(B)/linux/busybox --probe $(B)/guests/probe \
	--tests tests/initramfs
INITRD_DEP := Makefile scripts/mkinitramfs guests/initramfs/init $(B)/linux/busybox $(B)/guests/probe \
	tests/initramfs $(wildcard tests/initramfs/*)
$(B)/linux/initrd.img: $(INITRD_DEP)
	$(INITRD) -o $@
$(B)/linux/initrd-poweroff.img: $(INITRD_DEP)
	$(INITRD) --options mullion.test=poweroff -o $@
# For the generic kernel, with drivers for the devices that it is given, and lspci to see them.
$(B)/linux/initrd-generic.img: $(INITRD_DEP) $(B)/linux/modules-generic.tar
	$(INITRD) --modules $(B)/linux/modules-generic.tar --program lspci -o $@
$(B)/linux/initrd32.img: Makefile scripts/mkinitramfs $(B)/guests/init32 | $(B)/linux/bzImage-i386
	scripts/mkinitramfs --init $(B)/guests/init32 -o $@

# --- what users run -----------------------------------------------------------------------------------------
# Both install what is missing first; that needs root or sudo only when something is.
.PHONY: run test
run: | deps-run
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/demo.img
	@echo "Starting the demo. Ctrl-a 1 gives Linux the keyboard, Ctrl-a l shows all, Ctrl-a x ends the machine."
	scripts/run-qemu $(B)/demo.img $(RUN_OPTIONS) || [ $$? = 1 ] # 1: also after Ctrl-a x

test: | deps-test
	@$(MAKE) --no-print-directory -j$$(nproc) test-files
	scripts/run-tests
# All that run-tests runs and boots; it asks for them itself, so that no test sees an old one.
.PHONY: test-files

.PHONY: deps-run deps-test
deps-run:
	@scripts/install-deps run
deps-test:
	@scripts/install-deps test

$(B)/demo.img: guests/demo.conf $(B)/mullion.elf $(B)/mullion-config scripts/mkimage \
		$(wildcard boot/grub*) boot/medium.txt \
		$(B)/guests/ticker.elf $(B)/linux/bzImage $(B)/linux/initrd.img
	scripts/mkimage -c guests/demo.conf -o $@ --timeout 0

test-files: all $(TESTS) $(B)/fuzz_config $(B)/fuzz_load \
	$(addprefix $(B)/linux/,bzImage bzImage-generic bzImage-i386 initrd.img initrd-poweroff.img \
		initrd-generic.img initrd32.img)

.PHONY: clean
clean:
	rm -rf $(B)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
