#!/bin/bash
# Makes one directory per case, with the files that an administrator would put
# into /etc/xdl/shadowingssl, for the tests of tlsstore:
#
#	make.sh OUT CA-CERTIFICATE CA-KEY
#
# What tlsstore says of each, and what Chromium does, is in findings.txt.
# Nothing that it makes is kept in the repository.
set -euo pipefail

out=$1 ca=$2 cakey=$3
host=vda1.site.corp
work=$out/.work
mkdir -p "$work"
cd "$work"
umask 077

cat >conf <<'END'
[req]
distinguished_name = name
prompt = no
[name]
CN = unused
END

san=subjectAltName=DNS:$host
server=extendedKeyUsage=serverAuth
signs=keyUsage=critical,digitalSignature
issues='basicConstraints=critical,CA:TRUE'

# cert FILE KEY CA CAKEY CN [-OPTION...] [EXTENSION...]: a certificate for 90 days.
cert() {
	local file=$1 key=$2 issuer=$3 issuerkey=$4 cn=$5 options=(-days 90 -sha256)
	shift 5
	while (($#)); do
		case $1 in
		-days | -sha*) options+=("$1"); [[ $1 = -days ]] && { options+=("$2"); shift; } ;;
		-*) options+=("$1") ;;
		*) options+=(-addext "$1") ;;
		esac
		shift
	done
	local by=()
	[[ $issuer = self ]] || by=(-CA "$issuer" -CAkey "$issuerkey")
	openssl req -x509 -config conf "${by[@]}" -key "$key" -subj "/CN=$cn" "${options[@]}" -out "$file" 2>errors ||
		{ cat errors >&2; exit 1; }
}

# leaf FILE KEY [...]: a certificate of the CA for the host.
leaf() {
	local file=$1 key=$2
	shift 2
	cert "$file" "$key" "$ca" "$cakey" "$host" "$@"
}

ec() { openssl ecparam -name "$2" -genkey -noout 2>/dev/null | openssl pkey -out "$1"; }

# a case's directory, with cert and key under names of its own
new() { dir=$out/$1; mkdir "$dir"; chmod 755 "$dir"; }
put() { # put NAME FILE...: joins the files
	local to=$dir/$1
	shift
	cat "$@" >"$to"
}
pair() { # pair CASE KEY CERT...
	new "$1"
	put shadowingkey.pem "$2"
	put shadowingcert.pem "${@:3}"
}
secret() { printf '%s\n' "$1" >"$dir/shadowingpassphrase"; }

ec key prime256v1
ec otherkey prime256v1
ec middlekey prime256v1
openssl genrsa -out rsakey 2048 2>/dev/null
cert middle middlekey "$ca" "$cakey" 'Middle CA' "$issues"
leaf good key "$san" "$server" "$signs"
cert deep key middle middlekey "$host" "$san" "$server" "$signs"
leaf goodrsa rsakey "$san" "$server" "$signs"
leaf other otherkey "$san"

# --- what is in the files -------------------------------------------------

pair pem key good
pair pem-chain key deep middle
pair pem-chain-with-root key deep middle "$ca"
pair pem-chain-reversed key "$ca" middle deep
pair pem-chain-doubled key deep deep middle middle
pair pem-unrelated key good other
pair pem-rsa rsakey goodrsa

new pem-pkcs1; put shadowingcert.crt goodrsa; openssl rsa -traditional -in rsakey -out "$dir/shadowingkey.key" 2>/dev/null
new pem-sec1; put shadowingcert.cer good; openssl ec -in key -out "$dir/shadowingkey.key" 2>/dev/null
new pem-key-beside-certificate; put shadowingcert.pem key good
new pem-crlf; sed 's/$/\r/' good >"$dir/shadowingcert.pem"; sed 's/$/\r/' key >"$dir/shadowingkey.pem"
new pem-with-text; openssl x509 -in good -text >"$dir/shadowingcert.pem"; put shadowingkey.pem key

der() { openssl "$1" -in "$2" -outform DER -out "$dir/$3" 2>/dev/null; }
new der; der x509 good shadowingcert.der; der pkey key shadowingkey.der
new der-named-pem; der x509 good shadowingcert.pem; der pkey key shadowingkey.pem
new der-sec1; der x509 good shadowingcert.crt; der ec key shadowingkey.der
new der-pkcs1; der x509 goodrsa shadowingcert.cer; openssl rsa -traditional -in rsakey -outform DER -out "$dir/shadowingkey.der" 2>/dev/null

p12() { # p12 NAME PASSWORD [OPTION...]
	openssl pkcs12 -export -inkey key -in deep -certfile middle -passout "pass:$2" "${@:3}" -out "$dir/$1" 2>errors ||
		{ cat errors >&2; exit 1; }
}
new p12; p12 shadowingcert.p12 secret; secret secret
new p12-legacy; p12 shadowingcert.pfx secret -legacy; secret secret
new p12-3des; p12 shadowingcert.pfx secret -certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES -macalg sha1; secret secret
new p12-empty-password; p12 shadowingcert.p12 ''
new p12-empty-password-legacy; p12 shadowingcert.pfx '' -legacy
new p12-twice; p12 shadowingcert.p12 secret; p12 shadowingkey.p12 secret; secret secret
new p12-named-pem; p12 shadowingcert.pem secret; secret secret
new p12-and-pem-key; p12 shadowingcert.p12 ''; put shadowingkey.pem key
new p12-without-passphrase; p12 shadowingcert.p12 secret
new p12-wrong-passphrase; p12 shadowingcert.p12 secret; secret Secret
new p12-without-mac; p12 shadowingcert.p12 secret -nomac; secret secret
new p12-without-key; openssl pkcs12 -export -nokeys -in good -passout pass: -out "$dir/shadowingcert.p12"

sealed() { # sealed CASE [OPTION...]: an encrypted key
	new "$1"
	put shadowingcert.pem good
	openssl pkcs8 -topk8 -in key -passout pass:secret "${@:2}" -out "$dir/shadowingkey.pem"
	secret secret
}
sealed encrypted
sealed encrypted-aes128 -v2 aes128
sealed encrypted-3des -v2 des3
sealed encrypted-scrypt -scrypt
sealed encrypted-der -outform DER
sealed encrypted-sha1 -v2 aes256 -v2prf hmacWithSHA1
sealed encrypted-sha512 -v2 aes256 -v2prf hmacWithSHA512
sealed encrypted-pbes1 -v1 PBE-SHA1-3DES
sealed encrypted-without-passphrase; rm "$dir/shadowingpassphrase"
sealed encrypted-wrong-passphrase; secret Secret
sealed encrypted-empty-passphrase; secret ''
sealed encrypted-open-passphrase; chmod 644 "$dir/shadowingpassphrase"
new encrypted-beside-open-key; put shadowingkey.pem key
openssl pkcs8 -topk8 -in key -passout pass:secret | cat - good >"$dir/shadowingcert.pem"
new encrypted-old-pem; put shadowingcert.pem goodrsa; secret secret
openssl rsa -traditional -aes256 -passout pass:secret -in rsakey -out "$dir/shadowingkey.pem" 2>/dev/null

new pkcs7; put shadowingkey.pem key; openssl crl2pkcs7 -nocrl -certfile good -outform DER -out "$dir/shadowingcert.p7b"
new trusted; put shadowingkey.pem key; openssl x509 -in good -trustout -out "$dir/shadowingcert.pem"
new request; put shadowingkey.pem key; openssl req -new -config conf -key key -subj "/CN=$host" -out "$dir/shadowingcert.pem"
new public-key; put shadowingcert.pem good; openssl pkey -in key -pubout -out "$dir/shadowingkey.pem"
pair wrong-key otherkey good

# --- which files ----------------------------------------------------------

pair several key good; put shadowingcert.crt other; put shadowingkey.der otherkey
new leftovers; for end in pem~ pem.bak pem.rpmsave pem.dpkg-dist; do put "shadowingcert.$end" good; done; put shadowingkey.pem key
pair leftovers-beside key good; put shadowingcert.crt~ other; put shadowingcert.pem.bak other
new no-key; put shadowingcert.pem good
pair key-for-all key good; chmod 644 "$dir/shadowingkey.pem"
pair certificate-that-others-write key good; chmod 666 "$dir/shadowingcert.pem"
pair directory-that-others-write key good; chmod 777 "$dir"

# --- what the certificates say --------------------------------------------

# says CASE [...]: a pair whose certificate has these extensions and options
says() { leaf case key "${@:2}"; pair "$1" key case; }
says name-wildcard subjectAltName=DNS:*.site.corp "$server"
says name-wildcard-of-a-domain subjectAltName=DNS:*.corp "$server"
says name-upper-case subjectAltName=DNS:VDA1.Site.Corp "$server"
says name-second subjectAltName=DNS:www.site.corp,DNS:$host "$server"
says name-other subjectAltName=DNS:vda2.site.corp "$server"
says name-short subjectAltName=DNS:vda1 "$server"
says name-in-cn-alone "$server"
says usage-none "$san"
says usage-any "$san" extendedKeyUsage=anyExtendedKeyUsage
says usage-client "$san" extendedKeyUsage=clientAuth
says usage-client-and-server "$san" extendedKeyUsage=clientAuth,serverAuth
says usage-agrees "$san" "$server" keyUsage=critical,keyAgreement
leaf case rsakey "$san" "$server" keyUsage=critical,keyEncipherment; pair usage-enciphers rsakey case
says sha1 "$san" "$server" -sha1
says sha384 "$san" "$server" -sha384
says sha512 "$san" "$server" -sha512
says long-life "$san" "$server" -days 3650

cert case key self self "$host" "$san" "$server"; pair self-signed key case
pair chain-incomplete key deep
cert weak middlekey "$ca" "$cakey" 'Middle CA' "$issues" -sha1
pair chain-sha1 key deep weak
cert weak middlekey "$ca" "$cakey" 'Middle CA' basicConstraints=CA:FALSE
pair chain-not-authority key deep weak
openssl genrsa -out rsamiddlekey 2048 2>/dev/null
cert rsamiddle rsamiddlekey "$ca" "$cakey" 'RSA CA' "$issues"
cert case key rsamiddle rsamiddlekey "$host" "$san" "$server" -md5; pair md5 key case rsamiddle
cert case key rsamiddle rsamiddlekey "$host" "$san" "$server"; pair chain-rsa key case rsamiddle
openssl genrsa -out short 1024 2>/dev/null
cert weak short "$ca" "$cakey" 'Short CA' "$issues"
cert case key weak short "$host" "$san" "$server"; pair chain-rsa-1024 key case weak

# --- the keys -------------------------------------------------------------

leaf case short "$san" "$server"; pair key-rsa-1024 short case
openssl genrsa -out short 512 2>/dev/null
leaf case short "$san" "$server"; pair key-rsa-512 short case
for curve in secp224r1 secp384r1 secp521r1 secp256k1; do
	ec curvekey $curve
	leaf case curvekey "$san" "$server"; pair "key-$curve" curvekey case
done
openssl genpkey -algorithm ed25519 -out edkey
leaf case edkey "$san" "$server"; pair key-ed25519 edkey case
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out psskey 2>/dev/null
leaf case psskey "$san" "$server"; pair key-rsa-pss psskey case

rm -r "$work"
