/*
Copyright 2026 The BackupSync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package v1alpha1

// CredentialsType says how calls to CBR are authenticated.
// +kubebuilder:validation:Enum=AccessKey;Password;PodIdentity;Token
type CredentialsType string

// The types of credentials.
const (
	// CredentialsAccessKey signs each call with an access key (AK/SK), permanent or temporary.
	CredentialsAccessKey CredentialsType = "AccessKey"
	// CredentialsPassword gets IAM tokens for the name and password of an IAM user, and renews them.
	CredentialsPassword CredentialsType = "Password"
	// CredentialsPodIdentity signs each call with temporary keys that the cluster (CCE) gives to the operator's pod.
	CredentialsPodIdentity CredentialsType = "PodIdentity"
	// CredentialsToken sends an IAM token in the header X-Auth-Token. It is valid for 24 hours.
	CredentialsToken CredentialsType = "Token"
)

// The keys of the Secret that hold the credentials, if secretRef.keys does not name others.
const (
	TokenKey         = "token"
	ExpiresAtKey     = "expiresAt"
	AccessKeyKey     = "accessKey"
	SecretKeyKey     = "secretKey"
	SecurityTokenKey = "securityToken"
	UsernameKey      = "username"
	PasswordKey      = "password"
	DomainNameKey    = "domainName"
)

// SecretKeys are the keys of the Secret under which the parts of the credentials stand.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="(has(self.password) ? self.password : 'password') != (has(self.username) ? self.username : 'username')",fieldPath=".password",reason=FieldValueInvalid,message="password and username must be different keys of the Secret"
// +kubebuilder:validation:XValidation:rule="(has(self.password) ? self.password : 'password') != (has(self.domainName) ? self.domainName : 'domainName')",fieldPath=".password",reason=FieldValueInvalid,message="password and domainName must be different keys of the Secret"
// +kubebuilder:validation:XValidation:rule="(has(self.secretKey) ? self.secretKey : 'secretKey') != (has(self.accessKey) ? self.accessKey : 'accessKey')",fieldPath=".secretKey",reason=FieldValueInvalid,message="secretKey and accessKey must be different keys of the Secret"
// +kubebuilder:validation:XValidation:rule="(has(self.securityToken) ? self.securityToken : 'securityToken') != (has(self.secretKey) ? self.secretKey : 'secretKey')",fieldPath=".securityToken",reason=FieldValueInvalid,message="securityToken and secretKey must be different keys of the Secret"
// +kubebuilder:validation:XValidation:rule="(has(self.securityToken) ? self.securityToken : 'securityToken') != (has(self.accessKey) ? self.accessKey : 'accessKey')",fieldPath=".securityToken",reason=FieldValueInvalid,message="securityToken and accessKey must be different keys of the Secret"
// +kubebuilder:validation:XValidation:rule="(has(self.expiresAt) ? self.expiresAt : 'expiresAt') != (has(self.token) ? self.token : 'token')",fieldPath=".expiresAt",reason=FieldValueInvalid,message="expiresAt and token must be different keys of the Secret"
type SecretKeys struct {
	// token is the key that holds the IAM token of the type Token: token by default, 1 to 253 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[-._a-zA-Z0-9]+$')`,message="token must be the key of a Secret: letters, digits, \"-\", \"_\" and \".\""
	// +optional
	Token string `json:"token,omitempty"`

	// expiresAt is the key that holds the time at which a token or temporary key ends, in the form of RFC 3339, such as 2026-01-04T09:05:22Z. The key may be absent: expiresAt by default, 1 to 253 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[-._a-zA-Z0-9]+$')`,message="expiresAt must be the key of a Secret: letters, digits, \"-\", \"_\" and \".\""
	// +optional
	ExpiresAt string `json:"expiresAt,omitempty"`

	// accessKey is the key that holds the access key id (AK) of the type AccessKey: accessKey by default, 1 to 253 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[-._a-zA-Z0-9]+$')`,message="accessKey must be the key of a Secret: letters, digits, \"-\", \"_\" and \".\""
	// +optional
	AccessKey string `json:"accessKey,omitempty"`

	// secretKey is the key that holds the secret access key (SK) of the type AccessKey: secretKey by default, 1 to 253 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[-._a-zA-Z0-9]+$')`,message="secretKey must be the key of a Secret: letters, digits, \"-\", \"_\" and \".\""
	// +optional
	SecretKey string `json:"secretKey,omitempty"`

	// securityToken is the key that holds the security token of a temporary access key. The key may be absent: securityToken by default, 1 to 253 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[-._a-zA-Z0-9]+$')`,message="securityToken must be the key of a Secret: letters, digits, \"-\", \"_\" and \".\""
	// +optional
	SecurityToken string `json:"securityToken,omitempty"`

	// username is the key that holds the name of the IAM user of the type Password: username by default, 1 to 253 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[-._a-zA-Z0-9]+$')`,message="username must be the key of a Secret: letters, digits, \"-\", \"_\" and \".\""
	// +optional
	Username string `json:"username,omitempty"`

	// password is the key that holds the password of the IAM user of the type Password: password by default, 1 to 253 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[-._a-zA-Z0-9]+$')`,message="password must be the key of a Secret: letters, digits, \"-\", \"_\" and \".\""
	// +optional
	Password string `json:"password,omitempty"`

	// domainName is the key that holds the name of the account that the IAM user of the type Password belongs to: domainName by default, 1 to 253 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[-._a-zA-Z0-9]+$')`,message="domainName must be the key of a Secret: letters, digits, \"-\", \"_\" and \".\""
	// +optional
	DomainName string `json:"domainName,omitempty"`
}

// SecretReference names a Secret of the same namespace.
type SecretReference struct {
	// name is the name of a Secret of the CBRProject's own namespace, of any type: 1 to 253 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,message="name must be the name of a Secret of this namespace: lower-case letters, digits, \"-\" and \".\", and a letter or digit at either end"
	// +required
	Name string `json:"name,omitempty"`

	// keys name the keys of the Secret where they differ from the defaults, as in Secrets that External Secrets or Vault write.
	// +optional
	Keys SecretKeys `json:"keys,omitzero"`
}

// Credentials says how the calls to CBR are authenticated, and with what.
// +union
// +kubebuilder:validation:XValidation:rule="self.type == 'PodIdentity' || has(self.secretRef)",fieldPath=".secretRef",reason=FieldValueRequired,message="secretRef is required with every type but PodIdentity: it names the Secret that holds the credentials"
// +kubebuilder:validation:XValidation:rule="self.type != 'PodIdentity' || !has(self.secretRef)",fieldPath=".secretRef",reason=FieldValueForbidden,message="secretRef must be left out with the type PodIdentity: the cluster gives the keys to the operator's pod"
type Credentials struct {
	// type is the kind of credentials: AccessKey (an access key signs each call; recommended), Password (tokens of an IAM user are
	// fetched from IAM and renewed), PodIdentity (temporary keys that CCE gives to the operator's pod), or Token (an IAM token,
	// which is valid for 24 hours and must be replaced before).
	// +unionDiscriminator
	// +required
	Type CredentialsType `json:"type,omitempty"`

	// secretRef names the Secret, of the same namespace, that holds them: under the keys token and, if wanted, expiresAt for Token;
	// accessKey, secretKey and, for temporary keys, securityToken and expiresAt for AccessKey; username, password and domainName (the
	// name of the account) for Password. It is left out with PodIdentity.
	// +unionMember
	// +optional
	SecretRef SecretReference `json:"secretRef,omitzero"`
}
