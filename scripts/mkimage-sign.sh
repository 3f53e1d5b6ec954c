# Signing for scripts/mkimage, which reads this file for --sign KEY CERT (docs/boot.md, "Secure Boot").
# Uses its $work, $tree, $key, $cert and die. The signature of the UEFI program covers, in one way or
# another, everything that is started after it.
# shellcheck shell=sh disable=SC2154

# The files that are loaded, by their paths.
signed_files() {
	(cd "$tree" && find -L mullion.conf mullion.elf files grub -type f ! -name '*.sig' 2>/dev/null | sort)
}

# sign_program FILE: a UEFI program signed for Secure Boot.
sign_program() {
	sbsign --key "$key" --cert "$cert" --output "$work/signed" "$1" >"$work/log" 2>&1 &&
		sbverify --cert "$cert" "$work/signed" >>"$work/log" 2>&1 ||
		{ cat "$work/log" >&2; die "signing failed; do KEY and CERT (PEM files) belong together?"; }
	mv "$work/signed" "$1"
}

# add_digests LOADER: our own loader gets the digests of its files as a section behind its last one.
add_digests() {
	(cd "$tree" && signed_files | tr '\n' '\0' | xargs -0 sha256sum) >"$work/digests"
	set -- "$1" "$(objdump -h "$1" | awk '$1 ~ /^[0-9]+$/ { print $3, $4 }' | sort -k 2 | tail -n 1)"
	end=$((0x${2#* } + 0x${2% *}))
	objcopy -p --add-section .digests="$work/digests" \
		--set-section-flags .digests=contents,alloc,load,readonly,data \
		--change-section-vma .digests=$(((end + 4095) / 4096 * 4096)) "$1" "$work/with" ||
		die "objcopy failed"
	mv "$work/with" "$1"
}

# sign_files PUBLIC: for GRUB, a signature beside each file, by a key of this image alone. Its public
# half goes to PUBLIC and from there into GRUB; its private half is gone when mkimage ends.
sign_files() {
	GNUPGHOME=$work/gpg
	export GNUPGHOME
	mkdir -m 700 "$GNUPGHOME"
	{
		gpg --batch --quiet --pinentry-mode loopback --passphrase '' \
			--quick-generate-key 'Mullion image' rsa2048 sign never &&
			gpg --batch --quiet --export >"$1" &&
			(cd "$tree" && signed_files | tr '\n' '\0' | xargs -0 -n 1 \
				gpg --batch --quiet --digest-algo SHA256 --detach-sign)
	} >"$work/log" 2>&1 || { cat "$work/log" >&2; die "gpg failed"; }
	gpgconf --kill all
}

# use_signed_grub: GRUB takes nothing without a signature, and nobody may change its menu's entries or
# get its command line, where that could be turned off. What it does not get sends it back to the
# firmware, after a look at the reason.
use_signed_grub() {
	mkdir "$tree/grub" "$work/grub"
	back='sleep --interruptible 10; exit'
	{
		printf 'set superusers=nobody\nexport superusers\n'
		cat "$top/boot/grub-medium.cfg"
		echo 'echo "grub/grub.cfg is missing, or was changed since it was signed."'
		echo "$back"
	} >"$work/grub/grub.cfg"
	grub_cfg "$(loads)" | sed \
		-e 's/^\(menuentry .*\) {$/\1 --unrestricted {/' \
		-e 's/^\([[:space:]]*\)\(module2 .*\)/\1if \2; then set all=yes; else set bad=yes; fi/' \
		-e 's/^\([[:space:]]*\)boot$/\1if [ -z "$bad" ]; then boot; fi/' \
		-e "s/sleep --interruptible 30/$back/" >"$tree/grub/grub.cfg"
	sign_files "$work/public.gpg"
	printf 'sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n' >"$work/sbat"
	# shellcheck disable=SC2086 # a list of words
	grub_core x86_64-efi "$program" $media pgp gcry_sha256 gcry_sha512 gcry_rsa \
		--disable-shim-lock --sbat "$work/sbat" --pubkey "$work/public.gpg"
	sign_program "$program"
}
